/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "mdev.h"

/* The host's path-available mask, with a channel report for each path that went or came. */
static void paths_changed(struct mdev *mdev, uint8_t pam)
{
	subchannel_set_paths(&mdev->sch, pam);
	for (unsigned path = 0; path < CSS_PATHS; path++) {
		uint8_t bit = (uint8_t)(0x80u >> path);

		if ((mdev->pam ^ pam) & bit)
			vfio_ccw_path_event(&mdev->vfio, mdev->chpids[path], pam & bit);
	}
	mdev->pam = pam;
}

static void host_ended(struct mdev *mdev)
{
	fprintf(stderr, "ccwemu-vfio: the emulated host has ended; its device does not answer any more\n");
	vfio_ccw_not_operational(&mdev->vfio);
}

static void arm_fault(struct mdev *mdev, const struct fault *fault)
{
	int error = fault_arm(&mdev->eckd.device.faults, fault);

	if (error)
		fprintf(stderr, "ccwemu-vfio: fault %u cannot be armed: %s\n", (unsigned)fault->id, strerror(error));
}

/* As vfio_ccw meets it: programs are refused from now on. The host asks for the device in a moment. */
static void device_gone(struct mdev *mdev)
{
	vfio_ccw_not_operational(&mdev->vfio);
	subchannel_set_device_valid(&mdev->sch, false);
}

static void act_on(struct mdev *mdev, const struct host_news *news)
{
	switch (news->event) {
	case HOST_PATHS:
		paths_changed(mdev, news->pam);
		break;
	case HOST_REQUEST:
		mdev_signal(mdev, VFIO_IRQ_REQUEST);
		break;
	case HOST_FAULT:
		arm_fault(mdev, &news->fault);
		break;
	case HOST_FAULTS_CLEARED:
		fault_disarm(&mdev->eckd.device.faults, 0);
		break;
	case HOST_DEVICE_GONE:
		device_gone(mdev);
		break;
	case HOST_ENDED:
		host_ended(mdev);
		break;
	case HOST_OTHER:
		break;
	}
}

/* False: there will be nothing more. */
static bool take_event(struct mdev *mdev)
{
	struct host_news news;

	host_listen(&mdev->host, &news);
	if (news.event == HOST_PATHS) /* to a program that is running */
		subchannel_announce_paths(&mdev->sch, news.pam);
	mdev_enter(mdev);
	act_on(mdev, &news);
	mdev_leave(mdev);
	return news.event != HOST_ENDED;
}

/* Is there a line already that came together with the one before? */
static bool line_waits(const struct mdev *mdev)
{
	for (size_t i = 0; i < mdev->host.size; i++)
		if (mdev->host.text[i] == '\n')
			return true;
	return false;
}

static void *listen_to_host(void *argument)
{
	struct mdev *mdev = argument;
	struct pollfd polled[] = {{.fd = mdev->stop, .events = POLLIN}, {.fd = mdev->host.socket, .events = POLLIN}};

	for (;;) {
		if (!line_waits(mdev) && poll(polled, 2, -1) < 0 && errno == EINTR)
			continue;
		if (polled[0].revents || !take_event(mdev))
			return NULL;
	}
}

/* Signals are the program's business: this thread takes none. */
static int start_thread(struct mdev *mdev)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&mdev->listener, NULL, listen_to_host, mdev);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

int mdev_listen(struct mdev *mdev)
{
	int error;

	mdev->stop = eventfd(0, EFD_CLOEXEC);
	if (mdev->stop < 0)
		return errno;
	error = start_thread(mdev);
	if (error)
		close(mdev->stop);
	return error;
}

void mdev_stop_listening(struct mdev *mdev)
{
	const uint64_t one = 1;

	if (write(mdev->stop, &one, sizeof(one)) == sizeof(one))
		pthread_join(mdev->listener, NULL);
	close(mdev->stop);
}
