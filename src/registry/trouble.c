/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/trouble.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/defer.h"
#include "registry/fail.h"
#include "registry/url.h"

#undef getenv /* libcurl reads the proxy variables itself; here their names are told, no values */
static const char *proxy_variable(bool tls)
{
	static const char *const names[] = { "https_proxy", "HTTPS_PROXY", "all_proxy",
					     "ALL_PROXY" };
	static const char *const plain[] = { "http_proxy", "all_proxy", "ALL_PROXY" };
	const char *const *list = tls ? names : plain;
	size_t n = tls ? sizeof(names) / sizeof(names[0]) : sizeof(plain) / sizeof(plain[0]);

	for (size_t i = 0; i < n; i++) {
		const char *value = getenv(list[i]);

		if (value && *value)
			return list[i];
	}
	return NULL;
}

/* No packet can leave: there is no route to anywhere. Nothing is sent to find out. */
static bool is_offline(void)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(443) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(443) };
	AUTO_CLOSE int a = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	AUTO_CLOSE int b = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	/* Any address of the internet will do: 192.0.2.1 and 2001:db8::1 are nobody's. */
	(void)inet_pton(AF_INET, "192.0.2.1", &v4.sin_addr);
	(void)inet_pton(AF_INET6, "2001:db8::1", &v6.sin6_addr);
	return (a < 0 || connect(a, (struct sockaddr *)&v4, sizeof(v4)) < 0) &&
	       (b < 0 || connect(b, (struct sockaddr *)&v6, sizeof(v6)) < 0);
}

static bool is_certificate(CURLcode code)
{
	return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_ISSUER_ERROR ||
	       code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CACERT_BADFILE;
}

/* The words of OpenSSL for a server that does not speak TLS. */
static bool is_plain_http(const struct trouble *t)
{
	return t->code == CURLE_SSL_CONNECT_ERROR &&
	       (strstr(t->why, "wrong version number") || strstr(t->why, "http request"));
}

/* What the server did not like about our side of TLS; NULL: nothing. OpenSSL's words. */
static const char *alert(const struct trouble *t)
{
	return t->code == CURLE_SSL_CONNECT_ERROR || t->code == CURLE_RECV_ERROR ||
			       t->code == CURLE_SEND_ERROR
		       ? strstr(t->why, "alert ")
		       : NULL;
}

/* What a proxy answers instead of leading on; NULL: it did not. libcurl's words. */
static const char *refusal(const struct trouble *t)
{
	return strstr(t->why, "CONNECT tunnel failed");
}

static bool is_proxy(CURLcode code)
{
	return code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_PROXY;
}

static bool is_reach(CURLcode code)
{
	return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_CONNECT ||
	       code == CURLE_OPERATION_TIMEDOUT;
}

bool trouble_no_tls(const struct trouble *t)
{
	return !t->answered && !t->handshake && !is_certificate(t->code) && !alert(t);
}

bool trouble_may_pass(const struct trouble *t)
{
	if (t->stalled)
		return true;
	if (refusal(t) && strstr(refusal(t), "response 4"))
		return false;
	/* A server in trouble of its own says "internal error". */
	if (alert(t) && !strstr(alert(t), "internal error"))
		return false;
	if (is_certificate(t->code) || is_plain_http(t) || t->code == CURLE_OUT_OF_MEMORY ||
	    t->code == CURLE_UNSUPPORTED_PROTOCOL || t->code == CURLE_URL_MALFORMAT)
		return false;
	return !(is_reach(t->code) && !host_is_loopback(t->host) && is_offline());
}

/* libcurl's words may hold those of the server: printable ASCII only. */
static void printable(char *out, size_t size, const char *text)
{
	size_t n = 0;

	for (; *text && n + 1 < size; text++)
		out[n++] = *text >= 0x20 && *text < 0x7f ? *text : '?';
	out[n] = '\0';
}

static const char *cause(const struct trouble *t, const char *why)
{
	if (refusal(t))
		return why;
	if (alert(t))
		return strstr(why, "alert certificate required") ? "it wants a client certificate"
								 : strstr(why, "alert ");
	if (t->stalled)
		return "it sends nothing, or very little";
	if (is_plain_http(t))
		return "it does not speak TLS";
	switch ((int)t->code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return "the name could not be resolved";
	case CURLE_COULDNT_RESOLVE_PROXY:
		return "the name of the proxy could not be resolved";
	case CURLE_COULDNT_CONNECT:
		return t->sys > 0 && strerrordesc_np((int)t->sys) ? strerrordesc_np((int)t->sys)
								  : "no connection";
	case CURLE_OPERATION_TIMEDOUT:
		return t->answered ? "it became silent" : "no connection in time";
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_HTTP2_STREAM:
	case CURLE_HTTP2:
		return "the connection broke";
	case CURLE_GOT_NOTHING:
		return "it closed the connection without an answer";
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return "its answer is no HTTP";
	default:
		return *why ? why : "the transfer failed";
	}
}

int trouble_tell(const struct trouble *t, struct err *err)
{
	const char *variable = host_is_loopback(t->host) ? NULL : proxy_variable(t->tls);
	char why[CURL_ERROR_SIZE], hint[256] = "";

	printable(why, sizeof(why), t->why);
	if (t->code == CURLE_OUT_OF_MEMORY && !t->stalled)
		return err_no_memory(err);
	if (is_certificate(t->code))
		(void)snprintf(hint, sizeof(hint),
			       "\nif the registry has a CA of its own: --ca-cert FILE");
	else if (strstr(why, "alert certificate required"))
		(void)snprintf(hint, sizeof(hint),
			       "\nset registries.%.128s.client_cert and client_key in config.json",
			       t->host);
	else if (is_plain_http(t))
		(void)snprintf(hint, sizeof(hint), "\nif it has plain HTTP only: --insecure");
	else if (variable && (is_proxy(t->code) || is_reach(t->code) || refusal(t)))
		(void)snprintf(hint, sizeof(hint),
			       "\na proxy is set by %s: check it, or exempt the host in no_proxy",
			       variable);
	else if (is_reach(t->code) && !host_is_loopback(t->host) && is_offline())
		(void)snprintf(hint, sizeof(hint), "\nthis machine has no network");
	if (t->answered)
		(void)err_set(err, ERR_UNAVAILABLE, "%s broke off after %llu bytes: %s%s", t->host,
			      (unsigned long long)t->body, cause(t, why), hint);
	else
		(void)err_set(err, ERR_UNAVAILABLE, "cannot reach %s: %s%s", t->host, cause(t, why),
			      hint);
	return fail_unreachable(err);
}
