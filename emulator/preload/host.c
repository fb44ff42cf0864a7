/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include "host.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "paths.h"

/* The host learns a moment later that another program has let the device go: EBUSY counts when it stays. */
#define BUSY_ROUNDS 15
#define BUSY_PAUSE_NS 20000000L

int host_path(char to[PATH_MAX], const char *format, ...)
{
	const char *root = getenv("CCWEMU_ROOT");
	int start = snprintf(to, PATH_MAX, "%s", root ? root : ""), size;
	va_list args;

	if (start < 0 || start >= PATH_MAX)
		return -ENAMETOOLONG;
	va_start(args, format);
	size = vsnprintf(to + start, (size_t)(PATH_MAX - start), format, args);
	va_end(args);
	return size < 0 || size >= PATH_MAX - start ? -ENAMETOOLONG : 0;
}

static int connect_host(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char path[PATH_MAX];
	int fd, error = host_path(path, "/run/ccwemu/host.sock");

	if (error || strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		error = errno;
		close(fd);
		return -error;
	}
	return fd;
}

/* Keep the first descriptor that came with a message, close others. */
static void take_descriptors(struct msghdr *message, int *kept)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
		size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(part) + i * sizeof(fd), sizeof(fd));
			if (kept && *kept < 0)
				*kept = fd;
			else
				close(fd);
		}
	}
}

/* Read until there is a whole line, and end it with a NUL. 0 or an errno. */
static int receive_line(struct host_connection *connection, int *descriptor)
{
	union {
		char bytes[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} control;
	char *end;

	while (!(end = memchr(connection->text, '\n', connection->size))) {
		struct iovec piece = {connection->text + connection->size, sizeof(connection->text) - connection->size};
		struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.bytes,
					 .msg_controllen = sizeof(control)};
		ssize_t got;

		if (!piece.iov_len)
			return EMSGSIZE;
		got = recvmsg(connection->socket, &message, MSG_CMSG_CLOEXEC);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? errno : ECONNRESET;
		take_descriptors(&message, descriptor);
		connection->size += (size_t)got;
	}
	*end = '\0';
	return 0;
}

/* The line in front has been dealt with. */
static void drop_line(struct host_connection *connection)
{
	size_t line = strlen(connection->text) + 1;

	connection->size -= line;
	memmove(connection->text, connection->text + line, connection->size);
}

static int send_question(int socket, const char *uuid)
{
	char text[128];
	int size = snprintf(text, sizeof(text), "{\"op\": \"vfio-open\", \"uuid\": \"%s\", \"holds_group\": true}\n", uuid);

	if (size < 0 || (size_t)size >= sizeof(text))
		return EINVAL;
	return send(socket, text, (size_t)size, MSG_NOSIGNAL) == size ? 0 : errno;
}

static bool parse_byte(const char *object, const char *name, uint8_t *byte)
{
	unsigned long number;

	if (!json_number(json_member(object, name), UINT8_MAX, &number))
		return false;
	*byte = (uint8_t)number;
	return true;
}

/* Up to room bytes of an array; false: it is none, or has others. */
static bool parse_bytes(const char *array, uint8_t *bytes, size_t room, size_t *count)
{
	*count = 0;
	if (!array || *array != '[')
		return false;
	for (const char *item = json_first(array); item; item = json_next(item)) {
		unsigned long number;

		if (*count == room || !json_number(item, UINT8_MAX, &number))
			return false;
		bytes[(*count)++] = (uint8_t)number;
	}
	return true;
}

static bool parse_identity(const char *device, struct eckd_identity *identity)
{
	char serial[ECKD_SERIAL_SIZE + 1];
	unsigned long ssid;

	if (!json_text(json_member(device, "serial"), serial, sizeof(serial)) ||
	    !eckd_set_serial(identity, serial, strlen(serial)) ||
	    !json_number(json_member(device, "ssid"), UINT16_MAX, &ssid) ||
	    !parse_byte(device, "cu_model", &identity->cu_model) ||
	    !parse_byte(device, "dev_model", &identity->dev_model) ||
	    !parse_byte(device, "unit_address", &identity->unit_address) ||
	    !parse_byte(device, "alias", &identity->alias) ||
	    !parse_byte(device, "base_unit_address", &identity->base_unit_address))
		return false;
	identity->ssid = (uint16_t)ssid;
	return true;
}

static bool parse_paths(const char *answer, struct subchannel_config *paths)
{
	unsigned cssid, ssid, devno;
	char text[16];
	size_t count;

	if (!json_text(json_member(answer, "devno"), text, sizeof(text)) ||
	    sscanf(text, "%x.%x.%4x", &cssid, &ssid, &devno) != 3 ||
	    !parse_bytes(json_member(answer, "chpids"), paths->chpids, CSS_PATHS, &count) ||
	    !parse_byte(answer, "pim", &paths->pim) || !parse_byte(answer, "pam", &paths->pam) ||
	    !parse_byte(answer, "pom", &paths->pom))
		return false;
	paths->devno = (uint16_t)devno;
	paths->concurrent_sense = true;
	return true;
}

static bool parse_fault(const char *object, struct fault *fault)
{
	unsigned long id, kind, command, skip, left;
	size_t count;

	memset(fault, 0, sizeof(*fault));
	if (!json_number(json_member(object, "id"), UINT32_MAX, &id) ||
	    !json_number(json_member(object, "kind"), FAULT_LOST_INTERRUPT, &kind) ||
	    !json_number(json_member(object, "command"), FAULT_ANY_COMMAND, &command) ||
	    !json_number(json_member(object, "skip"), UINT32_MAX, &skip) ||
	    !json_number(json_member(object, "left"), UINT32_MAX, &left) ||
	    !parse_bytes(json_member(object, "sense"), fault->sense, sizeof(fault->sense), &count))
		return false;
	fault->id = (uint32_t)id;
	fault->kind = (enum fault_kind)kind;
	fault->command = (uint16_t)command;
	fault->skip = (uint32_t)skip;
	fault->left = (uint32_t)left;
	return true;
}

static bool parse_faults(const char *array, struct host_device *device)
{
	if (!array || *array != '[')
		return false;
	for (const char *item = json_first(array); item; item = json_next(item))
		if (device->fault_count == FAULT_SLOTS || !parse_fault(item, &device->faults[device->fault_count++]))
			return false;
	return true;
}

static bool parse_device(const char *answer, struct host_device *device)
{
	const char *disk = json_member(answer, "device");

	return disk && device->image >= 0 && parse_identity(disk, &device->identity) &&
	       json_boolean(json_member(disk, "read_only"), &device->read_only) &&
	       parse_bytes(json_member(disk, "rejects"), device->refused, sizeof(device->refused),
			   &device->refused_count) &&
	       parse_bytes(json_member(disk, "rejects_suborders"), device->refused_pages, sizeof(device->refused_pages),
			   &device->refused_page_count) &&
	       parse_byte(disk, "other_systems", &device->other_systems) &&
	       device->other_systems <= ECKD_OTHER_SYSTEMS && json_boolean(json_member(disk, "reserved"), &device->reserved) &&
	       parse_faults(json_member(answer, "faults"), device) && parse_paths(answer, &device->paths);
}

/* The errors that a caller can tell apart; the rest has been printed. */
static int refusal(const char *uuid, const char *answer, bool last)
{
	char name[16], text[512] = "";

	json_text(json_member(answer, "message"), text, sizeof(text));
	if (!json_text(json_member(answer, "error"), name, sizeof(name)))
		return 0;
	if (!strcmp(name, "EBUSY") && !last)
		return EBUSY;
	fprintf(stderr, "ccwemu-vfio: mediated device %s: %s (%s)\n", uuid, text, name);
	return !strcmp(name, "EBUSY") ? EBUSY : !strcmp(name, "EINVAL") ? EINVAL : !strcmp(name, "EPERM") ? EPERM : ENODEV;
}

static int ask(struct host_connection *connection, const char *uuid, struct host_device *device, bool last)
{
	int error = send_question(connection->socket, uuid);

	if (!error)
		error = receive_line(connection, &device->image);
	if (error) {
		fprintf(stderr, "ccwemu-vfio: mediated device %s: no answer from the emulated host: %s\n", uuid,
			strerror(error));
		return error;
	}
	error = refusal(uuid, connection->text, last);
	if (!error && !parse_device(connection->text, device)) {
		fprintf(stderr, "ccwemu-vfio: mediated device %s: the emulated host answered %.400s; expected the "
			"description of an ECKD disk and its image. Are both of the same version?\n", uuid,
			connection->text);
		error = EPROTO;
	}
	drop_line(connection);
	return error;
}

static int open_once(struct host_connection *connection, const char *uuid, struct host_device *device, bool last)
{
	int error;

	memset(device, 0, sizeof(*device));
	device->image = -1;
	connection->size = 0;
	connection->socket = connect_host();
	if (connection->socket < 0) {
		error = -connection->socket;
		fprintf(stderr, "ccwemu-vfio: the emulated host does not answer at /run/ccwemu/host.sock: %s; run this "
			"on a host of a lab (ccwemu exec HOST -- ...)\n", strerror(error));
		return error;
	}
	error = ask(connection, uuid, device, last);
	if (!error)
		return 0;
	if (device->image >= 0)
		close(device->image);
	host_close(connection);
	return error;
}

int host_open(struct host_connection *connection, const char *uuid, struct host_device *device)
{
	const struct timespec pause = {.tv_nsec = BUSY_PAUSE_NS};
	int error;

	for (int round = 1;; round++) {
		error = open_once(connection, uuid, device, round == BUSY_ROUNDS);
		if (error != EBUSY || round == BUSY_ROUNDS)
			return error;
		nanosleep(&pause, NULL);
	}
}

void host_close(struct host_connection *connection)
{
	close(connection->socket);
	connection->socket = -1;
}

static enum host_event parse_event(const char *text, struct host_news *news)
{
	char name[16];

	if (!json_text(json_member(text, "event"), name, sizeof(name)))
		return HOST_OTHER;
	if (!strcmp(name, "request"))
		return HOST_REQUEST;
	if (!strcmp(name, "gone"))
		return HOST_DEVICE_GONE;
	if (!strcmp(name, "faults-cleared"))
		return HOST_FAULTS_CLEARED;
	if (!strcmp(name, "paths") && parse_byte(text, "pam", &news->pam))
		return HOST_PATHS;
	if (!strcmp(name, "fault") && parse_fault(json_member(text, "fault"), &news->fault))
		return HOST_FAULT;
	return HOST_OTHER;
}

void host_listen(struct host_connection *connection, struct host_news *news)
{
	if (receive_line(connection, NULL)) {
		news->event = HOST_ENDED;
		return;
	}
	news->event = parse_event(connection->text, news);
	drop_line(connection);
}

void host_tell_count(const struct host_connection *connection, const struct fault *fault)
{
	char text[128];
	int size = snprintf(text, sizeof(text), "{\"op\": \"fault-counted\", \"id\": %u, \"skip\": %u, \"left\": %u}\n",
			    (unsigned)fault->id, (unsigned)fault->skip, (unsigned)fault->left);

	if (size < 0 || (size_t)size >= sizeof(text) ||
	    send(connection->socket, text, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT) != size)
		fprintf(stderr, "ccwemu-vfio: the emulated host was not told that a fault was met: %s\n", strerror(errno));
}

struct vfio_kernel host_kernel(void)
{
	struct vfio_kernel kernel = {0};
	unsigned version = 0, level = 0;
	char path[PATH_MAX];
	FILE *file;

	if (host_path(path, "/proc/sys/kernel/osrelease"))
		return kernel;
	file = fopen(path, "re");
	if (!file)
		return kernel;
	if (fscanf(file, "%u.%u", &version, &level) == 2) {
		unsigned number = version * 1000 + level;

		kernel.ida_2k = number >= 6008;        /* which of 6.2 to 6.7 brought it was not looked up */
		kernel.needs_prefetch = number < 5008;
	}
	fclose(file);
	return kernel;
}
