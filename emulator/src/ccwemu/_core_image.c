/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Python binding of the channel core: disk images. */
#define _GNU_SOURCE
#include "_core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NULL_RECORD_LENGTH 4096u /* of the blocks that dasdfmt makes */

static PyObject *raise_image_error(PyTypeObject *type, PyObject *path, const struct ckd_problem *problem)
{
	struct core_state *state = core_state_of(type);
	PyObject *args = Py_BuildValue("(OsKi)", path, problem->text, (unsigned long long)problem->offset,
				       problem->error);

	if (args) {
		PyErr_SetObject(state->image_error, args);
		Py_DECREF(args);
	}
	return NULL;
}

/* A descriptor of one's own for a path, or a duplicate of the one that was given. -1: an exception is set. */
static int descriptor_of(PyTypeObject *type, PyObject *path, int flags)
{
	struct ckd_problem problem = {0};
	PyObject *name = NULL;
	int fd;

	if (PyLong_Check(path)) {
		long number = PyLong_AsLong(path);

		if (number == -1 && PyErr_Occurred())
			return -1;
		fd = fcntl((int)number, F_DUPFD_CLOEXEC, 3);
	} else {
		if (!PyUnicode_FSConverter(path, &name))
			return -1;
		fd = open(PyBytes_AsString(name), flags | O_CLOEXEC, 0666);
	}
	if (fd < 0) {
		problem.error = errno;
		snprintf(problem.text, sizeof(problem.text), "cannot be %s: %s",
			 flags & O_CREAT ? "created" : "opened", strerror(errno));
		raise_image_error(type, path, &problem);
	}
	Py_XDECREF(name);
	return fd;
}

static PyObject *image_create(PyObject *class, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"path", "cylinders", "heads", "null_records", NULL};
	PyObject *path;
	unsigned cylinders = 0, heads = CKD_3390_HEADS;
	int null_records = -1;
	struct ckd_problem problem = {0};
	bool done;
	int fd;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$IIi", names, &path, &cylinders, &heads,
					 &null_records))
		return NULL;
	if (null_records > UINT8_MAX) {
		PyErr_Format(PyExc_ValueError, "%d records on a track", null_records);
		return NULL;
	}
	if (PyLong_Check(path)) {
		PyErr_SetString(PyExc_TypeError, "create() takes a path, not a file descriptor");
		return NULL;
	}
	fd = descriptor_of((PyTypeObject *)class, path, O_RDWR | O_CREAT | O_EXCL);
	if (fd < 0)
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	done = null_records < 0 ? ckd_image_create(fd, cylinders, heads, &problem)
				: ckd_image_create_sparse(fd, cylinders, heads, (uint8_t)null_records,
							  NULL_RECORD_LENGTH, &problem);
	close(fd);
	Py_END_ALLOW_THREADS
	if (!done) {
		PyObject *name = NULL;

		if (PyUnicode_FSConverter(path, &name)) {
			unlink(PyBytes_AsString(name));
			Py_DECREF(name);
		}
		return raise_image_error((PyTypeObject *)class, path, &problem);
	}
	Py_RETURN_NONE;
}

static PyObject *image_open(PyObject *class, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"path", "writable", "damaged", NULL};
	PyTypeObject *type = (PyTypeObject *)class;
	struct ckd_problem problem = {0};
	int writable = 1, damaged = 0, fd;
	ImageObject *self;
	PyObject *path;
	bool done;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$pp", names, &path, &writable, &damaged))
		return NULL;
	writable = writable && !damaged;
	fd = descriptor_of(type, path, writable ? O_RDWR : O_RDONLY);
	if (fd < 0)
		return NULL;
	self = (ImageObject *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
	if (!self) {
		close(fd);
		return NULL;
	}
	Py_BEGIN_ALLOW_THREADS
	done = damaged ? ckd_image_open_damaged(&self->image, fd, &problem)
		       : ckd_image_open(&self->image, fd, writable, &problem);
	Py_END_ALLOW_THREADS
	if (!done) {
		Py_DECREF((PyObject *)self);
		return raise_image_error(type, path, &problem);
	}
	Py_INCREF(path);
	self->path = path;
	return (PyObject *)self;
}

static bool image_is_open(ImageObject *self)
{
	if (self->image.base)
		return true;
	PyErr_SetString(PyExc_ValueError, "the disk image is closed");
	return false;
}

/* The devices on the image are closed with it: their subchannels become not operational. */
static PyObject *image_close(ImageObject *self, PyObject *unused)
{
	(void)unused;
	if (self->checks) {
		PyErr_SetString(PyExc_RuntimeError, "the disk image is being checked");
		return NULL;
	}
	while (self->devices)
		device_object_close(self->devices);
	if (self->image.base)
		ckd_image_close(&self->image);
	Py_RETURN_NONE;
}

static PyObject *image_check(ImageObject *self, PyObject *unused)
{
	struct ckd_problem problem = {0};
	bool sound;

	(void)unused;
	if (!image_is_open(self))
		return NULL;
	self->checks++; /* nobody closes it meanwhile */
	Py_BEGIN_ALLOW_THREADS
	sound = ckd_image_check(&self->image, &problem);
	Py_END_ALLOW_THREADS
	self->checks--;
	if (!sound)
		return raise_image_error(Py_TYPE((PyObject *)self), self->path, &problem);
	Py_RETURN_NONE;
}

/* (number of damaged tracks, [(path, text, offset, errno) of each of the first of them]) */
static PyObject *image_problems(ImageObject *self, PyObject *args)
{
	struct ckd_problem *problems;
	unsigned room;
	uint32_t found;
	PyObject *list;

	if (!PyArg_ParseTuple(args, "I", &room) || !image_is_open(self))
		return NULL;
	room = room ? room : 1;
	problems = PyMem_Calloc(room, sizeof(*problems));
	if (!problems)
		return PyErr_NoMemory();
	self->checks++;
	Py_BEGIN_ALLOW_THREADS
	found = ckd_image_problems(&self->image, problems, room);
	Py_END_ALLOW_THREADS
	self->checks--;
	list = PyList_New(0);
	for (uint32_t i = 0; list && i < found && i < room; i++) {
		PyObject *item = Py_BuildValue("(OsKi)", self->path, problems[i].text,
					       (unsigned long long)problems[i].offset, problems[i].error);

		if (!item || PyList_Append(list, item))
			Py_CLEAR(list);
		Py_XDECREF(item);
	}
	PyMem_Free(problems);
	return list ? Py_BuildValue("(IN)", found, list) : NULL;
}

/* (cylinder, head) to a track of the image; NULL: an exception is set. */
static uint8_t *track_of(ImageObject *self, unsigned cylinder, unsigned head)
{
	if (!image_is_open(self))
		return NULL;
	if (cylinder >= self->image.cylinders || head >= self->image.heads) {
		PyErr_Format(PyExc_IndexError, "no track at cylinder %u head %u: the disk has %u cylinders of %u heads",
			     cylinder, head, self->image.cylinders, self->image.heads);
		return NULL;
	}
	return ckd_track(&self->image, cylinder * self->image.heads + head);
}

static PyObject *raise_lost(ImageObject *self)
{
	struct ckd_problem problem = {0};

	ckd_image_complete(&self->image, &problem);
	return raise_image_error(Py_TYPE((PyObject *)self), self->path, &problem);
}

static PyObject *image_read_raw(ImageObject *self, PyObject *args)
{
	unsigned cylinder, head;
	PyObject *bytes;
	uint8_t *track;

	if (!PyArg_ParseTuple(args, "II", &cylinder, &head))
		return NULL;
	track = track_of(self, cylinder, head);
	if (!track)
		return NULL;
	bytes = PyBytes_FromStringAndSize((char *)track, self->image.track_size);
	if (bytes && atomic_load(&self->image.lost)) {
		Py_DECREF(bytes);
		return raise_lost(self);
	}
	return bytes;
}

/* Is this a whole track: this home address, record 0, sound records that a 3390 can hold, end mark, no more? */
static const char *fault_of_track(ImageObject *self, const uint8_t *bytes, size_t size, const uint8_t *track)
{
	uint32_t offset = CKD_FIRST_RECORD, cells = 0;

	if (size < CKD_EMPTY_TRACK_SIZE || size > self->image.track_size)
		return "it has an impossible length";
	if (memcmp(bytes, track, CKD_HOME_SIZE))
		return "it has another home address";
	if (bytes[CKD_FIRST_RECORD + 4])
		return "it does not begin with record 0";
	for (;;) {
		switch (ckd_record_at(bytes, (uint32_t)size, offset)) {
		case CKD_BAD:
			return "a record runs over its end";
		case CKD_END:
			if (offset == CKD_FIRST_RECORD)
				return "it does not begin with record 0";
			if (cells > CKD_3390_CELLS)
				return "its records are more than a track holds";
			return offset + CKD_END_SIZE == size ? NULL : "something follows its end";
		case CKD_RECORD:
			if (offset > CKD_FIRST_RECORD)
				cells += ckd_record_cells(ckd_key_length(bytes + offset),
							  ckd_data_length(bytes + offset));
			offset += ckd_record_size(bytes + offset);
		}
	}
}

static PyObject *image_write_raw(ImageObject *self, PyObject *args)
{
	unsigned cylinder, head;
	const char *bytes, *fault;
	uint32_t number;
	Py_ssize_t size;
	uint8_t *track;

	if (!PyArg_ParseTuple(args, "IIy#", &cylinder, &head, &bytes, &size))
		return NULL;
	track = track_of(self, cylinder, head);
	if (!track)
		return NULL;
	if (!self->image.writable) {
		PyErr_SetString(PyExc_PermissionError, "the disk image is open for reading only");
		return NULL;
	}
	fault = fault_of_track(self, (const uint8_t *)bytes, (size_t)size, track);
	if (fault) {
		PyErr_Format(PyExc_ValueError, "not a track for cylinder %u head %u: %s", cylinder, head, fault);
		return NULL;
	}
	number = cylinder * self->image.heads + head;
	memcpy(ckd_stage(&self->image, number, 0, (uint32_t)size), bytes, (size_t)size);
	ckd_commit(&self->image);
	if (atomic_load(&self->image.lost))
		return raise_lost(self);
	Py_RETURN_NONE;
}

static PyObject *image_get_cylinders(ImageObject *self, void *unused)
{
	(void)unused;
	return PyLong_FromUnsignedLong(self->image.cylinders);
}

static PyObject *image_get_heads(ImageObject *self, void *unused)
{
	(void)unused;
	return PyLong_FromUnsignedLong(self->image.heads);
}

static PyObject *image_get_writable(ImageObject *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(self->image.writable);
}

static PyObject *image_get_closed(ImageObject *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(!self->image.base);
}

static void image_dealloc(ImageObject *self)
{
	if (self->image.base)
		ckd_image_close(&self->image);
	Py_XDECREF(self->path);
	core_dealloc((PyObject *)self);
}

static PyMethodDef image_methods[] = {
	{"create", FUNCTION(image_create), METH_VARARGS | METH_KEYWORDS | METH_CLASS, NULL},
	{"open", FUNCTION(image_open), METH_VARARGS | METH_KEYWORDS | METH_CLASS, NULL},
	{"close", FUNCTION(image_close), METH_NOARGS, NULL},
	{"check", FUNCTION(image_check), METH_NOARGS, NULL},
	{"problems", FUNCTION(image_problems), METH_VARARGS, NULL},
	{"read_raw", FUNCTION(image_read_raw), METH_VARARGS, NULL},
	{"write_raw", FUNCTION(image_write_raw), METH_VARARGS, NULL},
	{0},
};

static PyGetSetDef image_attributes[] = {
	{"cylinders", (getter)image_get_cylinders, NULL, NULL, NULL},
	{"heads", (getter)image_get_heads, NULL, NULL, NULL},
	{"writable", (getter)image_get_writable, NULL, NULL, NULL},
	{"closed", (getter)image_get_closed, NULL, NULL, NULL},
	{0},
};

PyType_Spec image_spec = {
	.name = "ccwemu._core.Image",
	.basicsize = sizeof(ImageObject),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots = (PyType_Slot[]){
		{Py_tp_dealloc, image_dealloc},
		{Py_tp_methods, image_methods},
		{Py_tp_getset, image_attributes},
		{0},
	},
};
