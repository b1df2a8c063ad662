/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIO_VHOST_USER_H
#define VIRTIO_VHOST_USER_H

#include "base/defer.h"
#include "base/err.h"
#include "base/loop.h"
#include "virtio/device.h"

/*
 * The vhost-user back end: drives one virtio_device for a QEMU at the other end of a socket.
 * It maps guest memory from the descriptors that QEMU sends, translates ring addresses,
 * negotiates features, and joins the queues' kick and call eventfds to the loop.
 */
struct vhost_user;

/* The peer went away, or broke the protocol (@error < 0, -errno); on the loop's thread. */
typedef void (*vhost_user_closed_fn)(void *user, int error);

/**
 * vhost_user_new() - Serve @dev to the front end behind @fd
 * @loop:	The device's loop; all its calls come from there
 * @dev:	Borrowed; outlives the transport
 * @fd:		Connected stream socket; owned once this succeeds
 * @closed:	Called once at most
 * Return: 0 or -errno.
 */
MUST_CHECK int vhost_user_new(struct loop *loop, struct virtio_device *dev, int fd,
			      vhost_user_closed_fn closed, void *user, struct vhost_user **ret_vu);

/* Reset the device, unmap guest memory, close all. On the loop's thread, or after it ended. */
void vhost_user_free(struct vhost_user *vu);
DEFINE_AUTO(struct vhost_user *, vhost_user_free);

#endif /* VIRTIO_VHOST_USER_H */
