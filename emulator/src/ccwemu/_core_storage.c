/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Python binding of the channel core: main storage. */
#include "_core.h"

#include <errno.h>
#include <stdio.h>

/* PyErr_Format knows no %llx. */
static PyObject *raise_storage_error(unsigned long long start, const char *problem)
{
	char text[160];

	snprintf(text, sizeof(text), "storage at %llx: %s", start, problem);
	PyErr_SetString(PyExc_ValueError, text);
	return NULL;
}

static int storage_object_init(StorageObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {NULL};

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "", names))
		return -1;
	if (self->ready)
		return 0;
	storage_init(&self->storage);
	pthread_rwlock_init(&self->lock, NULL);
	self->ready = true;
	return 0;
}

static void release_buffer(void *owner)
{
	PyBuffer_Release(owner);
	PyMem_Free(owner);
}

static PyObject *storage_object_map(StorageObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"iova", "buffer", "key", "fetch_protected", "damaged", NULL};
	struct storage_area area = {0};
	unsigned long long start;
	unsigned char key = 0;
	int fetch_protected = 0, damaged = 0, error;
	PyObject *buffer;
	Py_buffer *view;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "KO|$bpp", names, &start, &buffer, &key, &fetch_protected, &damaged))
		return NULL;
	if (key > 15) {
		PyErr_Format(PyExc_ValueError, "storage key %d: expected 0 to 15", key);
		return NULL;
	}
	view = PyMem_Malloc(sizeof(*view));
	if (!view)
		return PyErr_NoMemory();
	if (PyObject_GetBuffer(buffer, view, PyBUF_WRITABLE)) {
		PyMem_Free(view);
		return NULL;
	}
	area.start = start;
	area.size = (uint64_t)view->len;
	area.host = view->buf;
	area.key = key;
	area.fetch_protected = fetch_protected;
	area.damaged = damaged;
	area.owner = view;
	core_write_lock(&self->lock);
	error = storage_map(&self->storage, &area);
	pthread_rwlock_unlock(&self->lock);
	if (!error)
		Py_RETURN_NONE;
	release_buffer(view);
	if (error == ENOMEM)
		return PyErr_NoMemory();
	return raise_storage_error(start, error == EEXIST ? "something is mapped there already"
				   : "an area must have a length and end below 2^64");
}

static PyObject *storage_object_unmap(StorageObject *self, PyObject *args)
{
	unsigned long long start, size;
	void *owner;
	int error;

	if (!PyArg_ParseTuple(args, "KK", &start, &size))
		return NULL;
	core_write_lock(&self->lock);
	error = storage_unmap(&self->storage, start, size, &owner);
	pthread_rwlock_unlock(&self->lock);
	if (error)
		return raise_storage_error(start, "no area of this size is mapped there");
	release_buffer(owner);
	Py_RETURN_NONE;
}

static PyObject *storage_object_set_limit(StorageObject *self, PyObject *args)
{
	unsigned long long limit;

	if (!PyArg_ParseTuple(args, "K", &limit))
		return NULL;
	if (limit & 0x8000ffffu || limit >> 32)
		return raise_storage_error(limit, "an address limit is a multiple of 64 KiB below 2 GiB");
	core_write_lock(&self->lock);
	self->storage.limit = limit;
	pthread_rwlock_unlock(&self->lock);
	Py_RETURN_NONE;
}

static void storage_object_dealloc(StorageObject *self)
{
	for (size_t i = 0; i < self->storage.count; i++)
		release_buffer(self->storage.areas[i].owner);
	storage_free(&self->storage);
	if (self->ready)
		pthread_rwlock_destroy(&self->lock);
	core_dealloc((PyObject *)self);
}

static PyMethodDef storage_methods[] = {
	{"map", FUNCTION(storage_object_map), METH_VARARGS | METH_KEYWORDS, NULL},
	{"unmap", FUNCTION(storage_object_unmap), METH_VARARGS, NULL},
	{"set_address_limit", FUNCTION(storage_object_set_limit), METH_VARARGS, NULL},
	{0},
};

PyType_Spec storage_spec = {
	.name = "ccwemu._core.Storage",
	.basicsize = sizeof(StorageObject),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = (PyType_Slot[]){
		{Py_tp_init, storage_object_init},
		{Py_tp_dealloc, storage_object_dealloc},
		{Py_tp_methods, storage_methods},
		{0},
	},
};
