/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Python binding of the mirror of a tree (mirror/mirror.h). */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mirror.h"

#define FUNCTION(f) ((PyCFunction)(void (*)(void))f)
#define RELEASED_AT_ONCE 64

typedef struct {
	PyObject_HEAD
	struct mirror *mirror;
	void *reply;
} MirrorObject;

static PyObject *raise_errno(int error)
{
	errno = error;
	return error == ENOMEM ? PyErr_NoMemory() : PyErr_SetFromErrno(PyExc_OSError);
}

/* Nodes that are no more hold on to their owners until somebody is here who may let Python objects go. */
static void release_owners(MirrorObject *self)
{
	void *owners[RELEASED_AT_ONCE];
	size_t count;

	do {
		count = mirror_take_released(self->mirror, owners, RELEASED_AT_ONCE);
		for (size_t i = 0; i < count; i++)
			Py_DECREF((PyObject *)owners[i]);
	} while (count == RELEASED_AT_ONCE);
}

static void release_owner(void *owner)
{
	Py_DECREF((PyObject *)owner);
}

static int mirror_object_init(MirrorObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"owner", "mode", "uid", "gid", "mtime", NULL};
	struct mirror_entry root = {0};
	unsigned long long mtime;
	unsigned mode, uid, gid;
	PyObject *owner;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OIIIK", names, &owner, &mode, &uid, &gid, &mtime))
		return -1;
	if (self->mirror)
		return 0;
	root.id = MIRROR_ROOT;
	root.mode = mode;
	root.uid = uid;
	root.gid = gid;
	root.mtime = mtime;
	root.owner = owner;
	self->reply = malloc(MIRROR_REPLY_SIZE);
	self->mirror = self->reply ? mirror_new(&root) : NULL;
	if (!self->mirror) {
		PyErr_NoMemory();
		return -1;
	}
	Py_INCREF(owner);
	return 0;
}

static void mirror_object_dealloc(MirrorObject *self)
{
	PyTypeObject *type = Py_TYPE((PyObject *)self);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

	if (self->mirror)
		mirror_free(self->mirror, release_owner);
	free(self->reply);
	release(self);
	Py_DECREF(type);
}

static PyObject *mirror_object_add(MirrorObject *self, PyObject *args)
{
	struct mirror_entry entry = {0};
	unsigned long long parent, id, size, target;
	unsigned mode, uid, gid;
	Py_ssize_t name_length, content_size = 0;
	double mtime;
	PyObject *owner;
	int error;

	if (!PyArg_ParseTuple(args, "KKs#IIIKdz#KO", &parent, &id, &entry.name, &name_length, &mode, &uid, &gid, &size,
			      &mtime, (const char **)&entry.content, &content_size, &target, &owner))
		return NULL;
	entry.id = id;
	entry.name_length = (size_t)name_length;
	entry.mode = mode;
	entry.uid = uid;
	entry.gid = gid;
	entry.size = size;
	entry.mtime = (uint64_t)(mtime * 1e9);
	entry.content_size = (size_t)content_size;
	entry.target = target;
	entry.owner = owner;
	error = mirror_add(self->mirror, parent, &entry);
	if (error)
		return raise_errno(error);
	Py_INCREF(owner);
	Py_RETURN_NONE;
}

static PyObject *mirror_object_remove(MirrorObject *self, PyObject *args)
{
	unsigned long long id;
	bool known;

	if (!PyArg_ParseTuple(args, "K", &id))
		return NULL;
	known = mirror_remove(self->mirror, id);
	release_owners(self);
	return PyBool_FromLong(known);
}

static PyObject *mirror_object_set_attributes(MirrorObject *self, PyObject *args)
{
	unsigned long long id, mtime;
	unsigned mode, uid, gid;

	if (!PyArg_ParseTuple(args, "KIIIK", &id, &mode, &uid, &gid, &mtime))
		return NULL;
	mirror_set_attributes(self->mirror, id, mode, uid, gid, mtime);
	Py_RETURN_NONE;
}

static PyObject *mirror_object_is_known(MirrorObject *self, PyObject *args)
{
	unsigned long long id;

	if (!PyArg_ParseTuple(args, "K", &id))
		return NULL;
	return PyBool_FromLong(mirror_is_known(self->mirror, id));
}

static PyObject *owner_or_none(PyObject *owner)
{
	return Py_NewRef(owner ? owner : Py_None);
}

static PyObject *mirror_object_owner(MirrorObject *self, PyObject *args)
{
	unsigned long long id;

	if (!PyArg_ParseTuple(args, "K", &id))
		return NULL;
	return owner_or_none(mirror_owner(self->mirror, id));
}

static PyObject *mirror_object_opened(MirrorObject *self, PyObject *args)
{
	unsigned long long handle;

	if (!PyArg_ParseTuple(args, "K", &handle))
		return NULL;
	return owner_or_none(mirror_opened(self->mirror, handle));
}

static PyObject *mirror_object_set_changing(MirrorObject *self, PyObject *changing)
{
	int value = PyObject_IsTrue(changing);

	if (value < 0)
		return NULL;
	mirror_set_changing(self->mirror, value);
	Py_RETURN_NONE;
}

static PyObject *none_or_errno(int error)
{
	if (error)
		return raise_errno(error);
	Py_RETURN_NONE;
}

static PyObject *mirror_object_keep(MirrorObject *self, PyObject *args)
{
	unsigned long long id;
	const char *data;
	Py_ssize_t size;
	int error;

	if (!PyArg_ParseTuple(args, "Ky#i", &id, &data, &size, &error))
		return NULL;
	return none_or_errno(mirror_keep(self->mirror, id, data, (size_t)size, error));
}

static PyObject *mirror_object_supply(MirrorObject *self, PyObject *args)
{
	unsigned long long handle, offset;
	const char *data;
	Py_ssize_t size;
	int error;

	if (!PyArg_ParseTuple(args, "Ky#iK", &handle, &data, &size, &error, &offset))
		return NULL;
	return none_or_errno(mirror_supply(self->mirror, handle, data, (size_t)size, error, offset));
}

static PyObject *mirror_object_entry(MirrorObject *self, PyObject *args)
{
	unsigned char entry[MIRROR_ENTRY_SIZE];
	unsigned long long id;

	if (!PyArg_ParseTuple(args, "K", &id))
		return NULL;
	if (!mirror_entry(self->mirror, id, entry))
		return raise_errno(ENOENT);
	return PyBytes_FromStringAndSize((char *)entry, sizeof(entry));
}

static PyObject *mirror_object_request(MirrorObject *self, PyObject *args)
{
	const char *request;
	Py_ssize_t size;
	size_t reply_size;
	uint64_t *aligned, *reply;
	PyObject *result = NULL;

	if (!PyArg_ParseTuple(args, "y#", &request, &size))
		return NULL;
	aligned = malloc((size_t)size + sizeof(*aligned));
	reply = malloc(MIRROR_REPLY_SIZE);
	if (!aligned || !reply) {
		PyErr_NoMemory();
	} else {
		memcpy(aligned, request, (size_t)size);
		switch (mirror_request(self->mirror, aligned, (size_t)size, reply, &reply_size)) {
		case MIRROR_ELSEWHERE:
			result = Py_NewRef(Py_None);
			break;
		case MIRROR_DONE:
			result = PyBytes_FromString("");
			break;
		case MIRROR_REPLY:
			result = PyBytes_FromStringAndSize((char *)reply, (Py_ssize_t)reply_size);
			break;
		}
	}
	free(aligned);
	free(reply);
	release_owners(self);
	return result;
}

/* Answer requests until there is one for somebody else; its size, or -1 with errno. No Python in here. */
static ssize_t serve(struct mirror *mirror, int fd, void *request, size_t size, void *reply)
{
	for (;;) {
		ssize_t got = read(fd, request, size);
		size_t reply_size;

		if (got < 0 && (errno == EINTR || errno == ENOENT)) /* ENOENT: the request was interrupted */
			continue;
		if (!got) /* never so of /dev/fuse */
			errno = ENODEV;
		if (got <= 0)
			return -1;
		switch (mirror_request(mirror, request, (size_t)got, reply, &reply_size)) {
		case MIRROR_ELSEWHERE:
			return got;
		case MIRROR_DONE:
			break;
		case MIRROR_REPLY:
			/* ENOENT: the caller no longer waits; ENODEV, EBADF: the mount is gone, as the next read says */
			if (write(fd, reply, reply_size) < 0 && errno != ENOENT && errno != ENODEV && errno != EBADF)
				return -1;
			break;
		}
	}
}

static PyObject *mirror_object_receive(MirrorObject *self, PyObject *args)
{
	Py_buffer buffer;
	ssize_t size;
	int fd, error;

	if (!PyArg_ParseTuple(args, "iw*", &fd, &buffer))
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	size = serve(self->mirror, fd, buffer.buf, (size_t)buffer.len, self->reply);
	error = errno;
	Py_END_ALLOW_THREADS
	PyBuffer_Release(&buffer);
	release_owners(self);
	return size < 0 ? raise_errno(error) : PyLong_FromSsize_t(size);
}

static PyObject *mirror_object_counts(MirrorObject *self, PyObject *unused)
{
	struct mirror_counts counts;

	(void)unused;
	mirror_count(self->mirror, &counts);
	return Py_BuildValue("{s:n,s:n,s:n,s:K,s:K}", "nodes", (Py_ssize_t)counts.nodes, "dead",
			     (Py_ssize_t)counts.dead, "open", (Py_ssize_t)counts.open, "answered",
			     (unsigned long long)counts.answered, "handed_over",
			     (unsigned long long)counts.handed_over);
}

static PyMethodDef mirror_methods[] = {
	{"add", FUNCTION(mirror_object_add), METH_VARARGS, NULL},
	{"remove", FUNCTION(mirror_object_remove), METH_VARARGS, NULL},
	{"set_attributes", FUNCTION(mirror_object_set_attributes), METH_VARARGS, NULL},
	{"is_known", FUNCTION(mirror_object_is_known), METH_VARARGS, NULL},
	{"owner", FUNCTION(mirror_object_owner), METH_VARARGS, NULL},
	{"opened", FUNCTION(mirror_object_opened), METH_VARARGS, NULL},
	{"set_changing", FUNCTION(mirror_object_set_changing), METH_O, NULL},
	{"keep", FUNCTION(mirror_object_keep), METH_VARARGS, NULL},
	{"supply", FUNCTION(mirror_object_supply), METH_VARARGS, NULL},
	{"entry", FUNCTION(mirror_object_entry), METH_VARARGS, NULL},
	{"request", FUNCTION(mirror_object_request), METH_VARARGS, NULL},
	{"receive", FUNCTION(mirror_object_receive), METH_VARARGS, NULL},
	{"counts", FUNCTION(mirror_object_counts), METH_NOARGS, NULL},
	{0},
};

static PyType_Spec mirror_spec = {
	.name = "ccwemu._mirror.Mirror",
	.basicsize = sizeof(MirrorObject),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = (PyType_Slot[]){
		{Py_tp_init, mirror_object_init},
		{Py_tp_dealloc, mirror_object_dealloc},
		{Py_tp_methods, mirror_methods},
		{0},
	},
};

static int module_exec(PyObject *module)
{
	PyObject *type = PyType_FromModuleAndSpec(module, &mirror_spec, NULL);
	PyObject *bit = PyLong_FromUnsignedLongLong(MIRROR_HANDLE);
	int failed = !type || !bit || PyModule_AddType(module, (PyTypeObject *)type) ||
		     PyModule_AddObjectRef(module, "HANDLE", bit);

	Py_XDECREF(type);
	Py_XDECREF(bit);
	return failed ? -1 : 0;
}

static struct PyModuleDef mirror_module = {
	PyModuleDef_HEAD_INIT,
	.m_name = "ccwemu._mirror",
	.m_slots = (PyModuleDef_Slot[]){{Py_mod_exec, module_exec}, {0}},
};

PyMODINIT_FUNC PyInit__mirror(void)
{
	return PyModuleDef_Init(&mirror_module);
}
