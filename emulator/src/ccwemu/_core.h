/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Objects of the ccwemu._core extension module. */
#ifndef CCWEMU__CORE_H
#define CCWEMU__CORE_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include <pthread.h>
#include <stdbool.h>

#include "ckd_image.h"
#include "eckd.h"
#include "storage.h"
#include "subchannel.h"

/* A method of the object's own type, or one with keywords, in a method table. */
#define FUNCTION(f) ((PyCFunction)(void (*)(void))(f))

typedef struct DeviceObject DeviceObject;

typedef struct {
	PyObject_HEAD
	struct ckd_image image;
	PyObject *path;            /* as given: str, or the descriptor's number */
	DeviceObject *devices;     /* open devices on this image, not counted as references */
	unsigned checks;           /* checks in progress */
} ImageObject;

struct DeviceObject {
	PyObject_HEAD
	struct eckd eckd;
	ImageObject *image;        /* NULL: closed */
	DeviceObject *next;        /* on the same image */
	pthread_mutex_t lock;      /* the device does one thing at a time, for all its subchannels */
	bool ready;
};

typedef struct {
	PyObject_HEAD
	struct storage storage;
	pthread_rwlock_t lock;     /* read: programs in progress; write: map, unmap */
	bool ready;
} StorageObject;

struct core_state;

typedef struct {
	PyObject_HEAD
	struct subchannel sch;
	const struct core_state *state; /* lives as long as the type, and so as the object */
	DeviceObject *device;
	StorageObject *storage;    /* of the last program */
	pthread_mutex_t lock;
	bool ready;
} SubchannelObject;

/* Per-module state: no static objects. */
struct core_state {
	PyObject *image_error;
	PyTypeObject *image, *device, *storage, *subchannel, *vfio_ccw;
};

struct core_state *core_state_of(PyTypeObject *type);
extern struct PyModuleDef core_module;

extern PyType_Spec image_spec, device_spec, storage_spec, subchannel_spec, vfio_ccw_spec;

/* Take a lock; the interpreter is released where there is something to wait for. */
void core_lock(pthread_mutex_t *lock);
void core_read_lock(pthread_rwlock_t *lock);
void core_write_lock(pthread_rwlock_t *lock);

/* Take what a program needs (subchannel, device, storage), and give it back. */
void subchannel_enter(SubchannelObject *self, StorageObject *storage);
void subchannel_leave(SubchannelObject *self, StorageObject *storage);
void subchannel_keep_storage(SubchannelObject *self, StorageObject *storage);

/* Let go of the image, when no program uses it any more. */
void device_object_close(DeviceObject *self);

/* Free an object of a heap type. */
void core_dealloc(PyObject *self);

#endif
