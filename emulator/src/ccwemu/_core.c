/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Python binding of the channel core: the module, disk images, devices, main storage. */
#define _GNU_SOURCE
#include "_core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void core_lock(pthread_mutex_t *lock)
{
	if (!pthread_mutex_trylock(lock))
		return;
	Py_BEGIN_ALLOW_THREADS
	pthread_mutex_lock(lock);
	Py_END_ALLOW_THREADS
}

void core_read_lock(pthread_rwlock_t *lock)
{
	if (!pthread_rwlock_tryrdlock(lock))
		return;
	Py_BEGIN_ALLOW_THREADS
	pthread_rwlock_rdlock(lock);
	Py_END_ALLOW_THREADS
}

void core_write_lock(pthread_rwlock_t *lock)
{
	if (!pthread_rwlock_trywrlock(lock))
		return;
	Py_BEGIN_ALLOW_THREADS
	pthread_rwlock_wrlock(lock);
	Py_END_ALLOW_THREADS
}

void core_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

	release(self);
	Py_DECREF(type);
}

/* The types may be subclassed in Python: the module is found through the base that C made. */
struct core_state *core_state_of(PyTypeObject *type)
{
	PyTypeObject *base = type;

	while (base) {
		PyObject *module = PyType_GetModule(base);

		if (module)
			return PyModule_GetState(module);
		PyErr_Clear();
		base = PyType_GetSlot(base, Py_tp_base);
	}
	return NULL;
}

/* ---- Image ---- */

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
	static char *names[] = {"path", "cylinders", "heads", NULL};
	PyObject *path;
	unsigned cylinders = 0, heads = CKD_3390_HEADS;
	struct ckd_problem problem = {0};
	bool done;
	int fd;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$II", names, &path, &cylinders, &heads))
		return NULL;
	if (PyLong_Check(path)) {
		PyErr_SetString(PyExc_TypeError, "create() takes a path, not a file descriptor");
		return NULL;
	}
	fd = descriptor_of((PyTypeObject *)class, path, O_RDWR | O_CREAT | O_EXCL);
	if (fd < 0)
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	done = ckd_image_create(fd, cylinders, heads, &problem);
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
	static char *names[] = {"path", "writable", NULL};
	PyTypeObject *type = (PyTypeObject *)class;
	struct ckd_problem problem = {0};
	int writable = 1, fd;
	ImageObject *self;
	PyObject *path;
	bool done;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$p", names, &path, &writable))
		return NULL;
	fd = descriptor_of(type, path, writable ? O_RDWR : O_RDONLY);
	if (fd < 0)
		return NULL;
	self = (ImageObject *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
	if (!self) {
		close(fd);
		return NULL;
	}
	Py_BEGIN_ALLOW_THREADS
	done = ckd_image_open(&self->image, fd, writable, &problem);
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

static void close_device(DeviceObject *device);

/* The devices on the image are closed with it: their subchannels become not operational. */
static PyObject *image_close(ImageObject *self, PyObject *unused)
{
	(void)unused;
	if (self->checks) {
		PyErr_SetString(PyExc_RuntimeError, "the disk image is being checked");
		return NULL;
	}
	while (self->devices)
		close_device(self->devices);
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

static PyObject *image_read_raw(ImageObject *self, PyObject *args)
{
	unsigned cylinder, head;
	uint8_t *track;

	if (!PyArg_ParseTuple(args, "II", &cylinder, &head))
		return NULL;
	track = track_of(self, cylinder, head);
	return track ? PyBytes_FromStringAndSize((char *)track, self->image.track_size) : NULL;
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
	memcpy(track, bytes, (size_t)size);
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

#define FUNCTION(f) ((PyCFunction)(void (*)(void))(f))

static PyMethodDef image_methods[] = {
	{"create", FUNCTION(image_create), METH_VARARGS | METH_KEYWORDS | METH_CLASS, NULL},
	{"open", FUNCTION(image_open), METH_VARARGS | METH_KEYWORDS | METH_CLASS, NULL},
	{"close", FUNCTION(image_close), METH_NOARGS, NULL},
	{"check", FUNCTION(image_check), METH_NOARGS, NULL},
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

/* ---- Device ---- */

static bool valid_serial(const char *serial, size_t size, char to[ECKD_SERIAL_SIZE])
{
	if (size > ECKD_SERIAL_SIZE)
		return false;
	memset(to, ' ', ECKD_SERIAL_SIZE);
	for (size_t i = 0; i < size; i++) {
		if (!((serial[i] >= '0' && serial[i] <= '9') || (serial[i] >= 'A' && serial[i] <= 'Z')))
			return false;
		to[i] = serial[i];
	}
	return true;
}

static int device_init(DeviceObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"image", "cu_model", "dev_model", "serial", "ssid", "unit_address", "read_only", NULL};
	struct core_state *state = core_state_of(Py_TYPE((PyObject *)self));
	struct eckd_identity identity = {.cu_model = 0xe9};
	unsigned char model = 0xe9, unit = 0;
	unsigned short ssid = 0;
	PyObject *image, *dev_model = Py_None;
	const char *serial = "000000000001";
	Py_ssize_t serial_size = 12;
	int read_only = 0;

	if (self->ready) {
		PyErr_SetString(PyExc_RuntimeError, "a device is initialised once");
		return -1;
	}
	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!|$bOs#Hbp", names, state->image, &image, &model, &dev_model,
					 &serial, &serial_size, &ssid, &unit, &read_only))
		return -1;
	if (!image_is_open((ImageObject *)image))
		return -1;
	if (!valid_serial(serial, (size_t)serial_size, identity.serial)) {
		PyErr_Format(PyExc_ValueError, "serial number %s: expected at most %d letters A-Z and digits", serial,
			     ECKD_SERIAL_SIZE);
		return -1;
	}
	identity.cu_model = model;
	identity.ssid = ssid;
	identity.unit_address = unit;
	identity.dev_model = eckd_model_of(((ImageObject *)image)->image.cylinders);
	if (dev_model != Py_None) {
		long value = PyLong_AsLong(dev_model);

		if (value == -1 && PyErr_Occurred())
			return -1;
		if (value < 0 || value > 0xff) {
			PyErr_Format(PyExc_ValueError, "device model %ld: expected 0 to 255", value);
			return -1;
		}
		identity.dev_model = (uint8_t)value;
	}
	self->image = (ImageObject *)image;
	Py_INCREF(image);
	self->next = self->image->devices;
	self->image->devices = self;
	pthread_mutex_init(&self->lock, NULL);
	self->ready = true;
	eckd_init(&self->eckd, &self->image->image, &identity, read_only);
	return 0;
}

static void let_go_of_image(DeviceObject *self)
{
	ImageObject *image = self->image;
	DeviceObject **link;

	if (!image)
		return;
	for (link = &image->devices; *link != self;)
		link = &(*link)->next;
	*link = self->next;
	self->image = NULL;
	Py_DECREF((PyObject *)image);
}

static void close_device(DeviceObject *self)
{
	Py_INCREF((PyObject *)self);
	core_lock(&self->lock); /* when this comes back, no program uses the image any more */
	let_go_of_image(self);
	pthread_mutex_unlock(&self->lock);
	Py_DECREF((PyObject *)self);
}

static PyObject *device_close(DeviceObject *self, PyObject *unused)
{
	(void)unused;
	if (self->ready)
		close_device(self);
	Py_RETURN_NONE;
}

static PyObject *device_reject(DeviceObject *self, PyObject *code)
{
	long command = PyLong_AsLong(code);

	if (command == -1 && PyErr_Occurred())
		return NULL;
	if (command < 0 || command > UINT8_MAX) {
		PyErr_Format(PyExc_ValueError, "command code %ld; 0 to 255 are possible", command);
		return NULL;
	}
	core_lock(&self->lock);
	device_refuse(&self->eckd.device, (uint8_t)command);
	pthread_mutex_unlock(&self->lock);
	Py_RETURN_NONE;
}

static void device_dealloc(DeviceObject *self)
{
	let_go_of_image(self);
	if (self->ready)
		pthread_mutex_destroy(&self->lock);
	core_dealloc((PyObject *)self);
}

static PyObject *device_get_identity(DeviceObject *self, void *unused)
{
	const struct eckd_identity *identity = &self->eckd.identity;

	(void)unused;
	return Py_BuildValue("(iiii)", 0x3990, identity->cu_model, 0x3390, identity->dev_model);
}

static PyObject *device_get_read_only(DeviceObject *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(self->eckd.read_only);
}

static PyMethodDef device_methods[] = {
	{"close", FUNCTION(device_close), METH_NOARGS, NULL},
	{"reject", FUNCTION(device_reject), METH_O, NULL},
	{0},
};

static PyGetSetDef device_attributes[] = {
	{"identity", (getter)device_get_identity, NULL, NULL, NULL},
	{"read_only", (getter)device_get_read_only, NULL, NULL, NULL},
	{0},
};

PyType_Spec device_spec = {
	.name = "ccwemu._core.Device",
	.basicsize = sizeof(DeviceObject),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = (PyType_Slot[]){
		{Py_tp_init, device_init},
		{Py_tp_dealloc, device_dealloc},
		{Py_tp_methods, device_methods},
		{Py_tp_getset, device_attributes},
		{0},
	},
};

/* ---- Storage ---- */

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
	static char *names[] = {"iova", "buffer", "key", "fetch_protected", NULL};
	struct storage_area area = {0};
	unsigned long long start;
	unsigned char key = 0;
	int fetch_protected = 0, error;
	PyObject *buffer;
	Py_buffer *view;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "KO|$bp", names, &start, &buffer, &key, &fetch_protected))
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

/* ---- the module ---- */

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **type)
{
	*type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
	return *type ? PyModule_AddType(module, *type) : -1;
}

static int module_exec(PyObject *module)
{
	struct core_state *state = PyModule_GetState(module);

	state->image_error = PyErr_NewException("ccwemu._core.RawImageError", NULL, NULL);
	if (!state->image_error || PyModule_AddObjectRef(module, "RawImageError", state->image_error))
		return -1;
	if (add_type(module, &image_spec, &state->image) || add_type(module, &device_spec, &state->device) ||
	    add_type(module, &storage_spec, &state->storage) ||
	    add_type(module, &subchannel_spec, &state->subchannel) ||
	    add_type(module, &vfio_ccw_spec, &state->vfio_ccw))
		return -1;
	return 0;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
	struct core_state *state = PyModule_GetState(module);

	Py_VISIT(state->image_error);
	Py_VISIT(state->image);
	Py_VISIT(state->device);
	Py_VISIT(state->storage);
	Py_VISIT(state->subchannel);
	Py_VISIT(state->vfio_ccw);
	return 0;
}

static int module_clear(PyObject *module)
{
	struct core_state *state = PyModule_GetState(module);

	Py_CLEAR(state->image_error);
	Py_CLEAR(state->image);
	Py_CLEAR(state->device);
	Py_CLEAR(state->storage);
	Py_CLEAR(state->subchannel);
	Py_CLEAR(state->vfio_ccw);
	return 0;
}

struct PyModuleDef core_module = {
	PyModuleDef_HEAD_INIT,
	.m_name = "ccwemu._core",
	.m_size = sizeof(struct core_state),
	.m_slots = (PyModuleDef_Slot[]){{Py_mod_exec, module_exec}, {0}},
	.m_traverse = module_traverse,
	.m_clear = module_clear,
};

PyMODINIT_FUNC PyInit__core(void)
{
	return PyModuleDef_Init(&core_module);
}
