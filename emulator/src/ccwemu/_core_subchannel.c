/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Python binding of the channel core: the subchannel.
 *
 * A program runs with the interpreter released, always: how long it takes is known only when it is over, and a halt
 * or clear from another thread must be able to come in. What it costs is well below a microsecond.
 * Locks are taken in the order subchannel, device, storage.
 */
#include "_core.h"

#include <string.h>

/* The device's image went away: the subchannel has no device any more. Called with both locks held. */
static void notice_closed_device(SubchannelObject *self)
{
	if (self->device && !self->device->image)
		subchannel_detach(&self->sch);
}

void subchannel_enter(SubchannelObject *self, StorageObject *storage)
{
	core_lock(&self->lock);
	if (self->device)
		core_lock(&self->device->lock);
	if (storage)
		core_read_lock(&storage->lock);
	notice_closed_device(self);
}

void subchannel_leave(SubchannelObject *self, StorageObject *storage)
{
	if (storage)
		pthread_rwlock_unlock(&storage->lock);
	if (self->device)
		pthread_mutex_unlock(&self->device->lock);
	pthread_mutex_unlock(&self->lock);
}

/* Remember which storage the program in progress uses. Called with the subchannel locked. */
void subchannel_keep_storage(SubchannelObject *self, StorageObject *storage)
{
	StorageObject *old = self->storage;

	if (old == storage)
		return;
	Py_XINCREF((PyObject *)storage);
	self->storage = storage;
	Py_XDECREF((PyObject *)old);
}

static bool parse_chpids(PyObject *sequence, uint8_t chpids[CSS_PATHS])
{
	Py_ssize_t count = PySequence_Size(sequence);

	if (count < 0)
		return false;
	if (count > CSS_PATHS) {
		PyErr_Format(PyExc_ValueError, "%zd channel paths: a subchannel has at most 8", count);
		return false;
	}
	for (Py_ssize_t i = 0; i < count; i++) {
		PyObject *item = PySequence_GetItem(sequence, i);
		long value;

		if (!item)
			return false;
		value = PyLong_AsLong(item);
		Py_DECREF(item);
		if (value == -1 && PyErr_Occurred())
			return false;
		if (value < 0 || value > 0xff) {
			PyErr_Format(PyExc_ValueError, "channel-path id %ld: expected 0 to 255", value);
			return false;
		}
		chpids[i] = (uint8_t)value;
	}
	return true;
}

static int subchannel_object_init(SubchannelObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"device", "devno", "chpids", "pim", "pam", "pom", "enabled", "concurrent_sense", NULL};
	struct core_state *state = core_state_of(Py_TYPE((PyObject *)self));
	struct subchannel_config config = {0};
	unsigned char pim = 0, pam = 0, pom = 0;
	int enabled = 1, concurrent_sense = 1, error;
	unsigned short devno = 0;
	PyObject *device, *chpids = NULL;

	if (self->ready) {
		PyErr_SetString(PyExc_RuntimeError, "a subchannel is initialised once");
		return -1;
	}
	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$HObbbpp", names, &device, &devno, &chpids, &pim, &pam, &pom,
					 &enabled, &concurrent_sense))
		return -1;
	if (device != Py_None && !PyObject_TypeCheck(device, state->device)) {
		PyErr_SetString(PyExc_TypeError, "device: expected a Device or None");
		return -1;
	}
	if (chpids && !parse_chpids(chpids, config.chpids))
		return -1;
	config.devno = devno;
	config.pim = pim;
	config.pam = pam;
	config.pom = pom;
	config.enabled = enabled;
	config.concurrent_sense = concurrent_sense;
	if (device != Py_None) {
		DeviceObject *object = (DeviceObject *)device;

		if (!object->image) {
			PyErr_SetString(PyExc_ValueError, "the device is closed");
			return -1;
		}
		config.device = &object->eckd.device;
		core_lock(&object->lock);
		error = subchannel_init(&self->sch, &config);
		pthread_mutex_unlock(&object->lock);
		if (error) {
			PyErr_Format(PyExc_ValueError, "the device has %d subchannels already, as many as it can",
				     DEVICE_INITIATORS);
			return -1;
		}
		Py_INCREF(device);
		self->device = object;
	} else {
		subchannel_init(&self->sch, &config);
	}
	pthread_mutex_init(&self->lock, NULL);
	self->state = state;
	self->ready = true;
	return 0;
}

static void subchannel_object_dealloc(SubchannelObject *self)
{
	if (self->device) {
		core_lock(&self->device->lock);
		subchannel_detach(&self->sch);
		pthread_mutex_unlock(&self->device->lock);
		Py_DECREF((PyObject *)self->device);
	}
	Py_XDECREF((PyObject *)self->storage);
	if (self->ready)
		pthread_mutex_destroy(&self->lock);
	core_dealloc((PyObject *)self);
}

static PyObject *subchannel_object_start(SubchannelObject *self, PyObject *const *args, Py_ssize_t count)
{
	StorageObject *storage;
	struct channel_orb orb;
	Py_buffer bytes;
	unsigned cc;

	if (count != 2 || !PyObject_TypeCheck(args[1], self->state->storage)) {
		PyErr_SetString(PyExc_TypeError, "expected start(orb, storage)");
		return NULL;
	}
	if (PyObject_GetBuffer(args[0], &bytes, PyBUF_SIMPLE))
		return NULL;
	if (bytes.len < CSS_ORB_SIZE) {
		PyErr_Format(PyExc_ValueError, "an ORB has at least %d bytes, this one %zd", CSS_ORB_SIZE, bytes.len);
		PyBuffer_Release(&bytes);
		return NULL;
	}
	subchannel_parse_orb(&orb, bytes.buf);
	PyBuffer_Release(&bytes);
	if (orb.flags & ORB_TRANSPORT) {
		PyErr_SetString(PyExc_NotImplementedError, "transport-mode programs (ORB bit B) are not supported");
		return NULL;
	}
	if (!channel_valid_orb(&orb)) {
		PyErr_SetString(PyExc_ValueError, "operand exception: reserved bits of the ORB are not zero");
		return NULL;
	}
	storage = (StorageObject *)args[1];
	subchannel_enter(self, storage);
	Py_BEGIN_ALLOW_THREADS
	cc = subchannel_start(&self->sch, &orb, &storage->storage, channel_ccw_from_storage, &storage->storage);
	Py_END_ALLOW_THREADS
	if (!cc)
		subchannel_keep_storage(self, storage);
	subchannel_leave(self, storage);
	return PyLong_FromUnsignedLong(cc);
}

static PyObject *subchannel_object_resume(SubchannelObject *self, PyObject *unused)
{
	StorageObject *storage;
	unsigned cc;

	(void)unused;
	core_lock(&self->lock);
	storage = self->storage;
	Py_XINCREF((PyObject *)storage);
	pthread_mutex_unlock(&self->lock);
	subchannel_enter(self, storage);
	if (storage != self->storage) { /* another program was started meanwhile: nothing to resume here */
		cc = 2;
	} else {
		Py_BEGIN_ALLOW_THREADS
		cc = subchannel_resume(&self->sch);
		Py_END_ALLOW_THREADS
	}
	subchannel_leave(self, storage);
	Py_XDECREF((PyObject *)storage);
	return PyLong_FromUnsignedLong(cc);
}

/* Halt and clear make a program that runs in another thread stop before its next CCW. */
static PyObject *stop_with(SubchannelObject *self, unsigned (*function)(struct subchannel *))
{
	unsigned cc;

	atomic_store(&self->sch.stop, true);
	subchannel_enter(self, NULL);
	atomic_store(&self->sch.stop, false);
	cc = function(&self->sch);
	subchannel_leave(self, NULL);
	return PyLong_FromUnsignedLong(cc);
}

static PyObject *subchannel_object_halt(SubchannelObject *self, PyObject *unused)
{
	(void)unused;
	return stop_with(self, subchannel_halt);
}

static PyObject *subchannel_object_clear(SubchannelObject *self, PyObject *unused)
{
	(void)unused;
	return stop_with(self, subchannel_clear);
}

static PyObject *subchannel_object_cancel(SubchannelObject *self, PyObject *unused)
{
	unsigned cc;

	(void)unused;
	subchannel_enter(self, NULL);
	cc = subchannel_cancel(&self->sch);
	subchannel_leave(self, NULL);
	return PyLong_FromUnsignedLong(cc);
}

static PyObject *subchannel_object_test(SubchannelObject *self, PyObject *unused)
{
	uint8_t irb[CSS_IRB_SIZE];
	unsigned cc;

	(void)unused;
	subchannel_enter(self, NULL);
	cc = subchannel_test(&self->sch, irb);
	subchannel_leave(self, NULL);
	return Py_BuildValue("(Iy#)", cc, (const char *)irb, (Py_ssize_t)sizeof(irb));
}

static PyObject *subchannel_object_store(SubchannelObject *self, PyObject *unused)
{
	uint8_t schib[CSS_SCHIB_SIZE];

	(void)unused;
	subchannel_enter(self, NULL);
	subchannel_store(&self->sch, schib);
	subchannel_leave(self, NULL);
	return PyBytes_FromStringAndSize((const char *)schib, sizeof(schib));
}

static PyObject *subchannel_object_modify(SubchannelObject *self, PyObject *args)
{
	const char *bytes;
	Py_ssize_t size;
	unsigned cc;

	if (!PyArg_ParseTuple(args, "y#", &bytes, &size))
		return NULL;
	if (size < CSS_SCHIB_SIZE) {
		PyErr_Format(PyExc_ValueError, "a SCHIB has %d bytes, this one %zd", CSS_SCHIB_SIZE, size);
		return NULL;
	}
	if (!subchannel_valid_schib((const uint8_t *)bytes)) {
		PyErr_SetString(PyExc_ValueError, "operand exception: reserved bits of the SCHIB are not zero");
		return NULL;
	}
	subchannel_enter(self, NULL);
	cc = subchannel_modify(&self->sch, (const uint8_t *)bytes);
	subchannel_leave(self, NULL);
	return PyLong_FromUnsignedLong(cc);
}

static PyObject *subchannel_object_set_paths(SubchannelObject *self, PyObject *args)
{
	unsigned char pam;

	if (!PyArg_ParseTuple(args, "b", &pam))
		return NULL;
	subchannel_announce_paths(&self->sch, pam); /* to a program that is running */
	subchannel_enter(self, NULL);
	subchannel_set_paths(&self->sch, pam);
	subchannel_leave(self, NULL);
	Py_RETURN_NONE;
}

static PyObject *subchannel_object_set_device_valid(SubchannelObject *self, PyObject *args)
{
	int valid;

	if (!PyArg_ParseTuple(args, "p", &valid))
		return NULL;
	atomic_store(&self->sch.stop, true); /* a program in progress ends first */
	subchannel_enter(self, NULL);
	atomic_store(&self->sch.stop, false);
	subchannel_set_device_valid(&self->sch, valid);
	subchannel_leave(self, NULL);
	Py_RETURN_NONE;
}

static PyObject *subchannel_object_pending(SubchannelObject *self, void *unused)
{
	bool pending;

	(void)unused;
	subchannel_enter(self, NULL);
	pending = subchannel_pending(&self->sch);
	subchannel_leave(self, NULL);
	return PyBool_FromLong(pending);
}

static PyMethodDef subchannel_methods[] = {
	{"start", FUNCTION(subchannel_object_start), METH_FASTCALL, NULL},
	{"resume", FUNCTION(subchannel_object_resume), METH_NOARGS, NULL},
	{"halt", FUNCTION(subchannel_object_halt), METH_NOARGS, NULL},
	{"clear", FUNCTION(subchannel_object_clear), METH_NOARGS, NULL},
	{"cancel", FUNCTION(subchannel_object_cancel), METH_NOARGS, NULL},
	{"test", FUNCTION(subchannel_object_test), METH_NOARGS, NULL},
	{"store", FUNCTION(subchannel_object_store), METH_NOARGS, NULL},
	{"modify", FUNCTION(subchannel_object_modify), METH_VARARGS, NULL},
	{"set_paths", FUNCTION(subchannel_object_set_paths), METH_VARARGS, NULL},
	{"set_device_valid", FUNCTION(subchannel_object_set_device_valid), METH_VARARGS, NULL},
	{0},
};

static PyGetSetDef subchannel_attributes[] = {
	{"status_pending", (getter)subchannel_object_pending, NULL, NULL, NULL},
	{0},
};

PyType_Spec subchannel_spec = {
	.name = "ccwemu._core.Subchannel",
	.basicsize = sizeof(SubchannelObject),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = (PyType_Slot[]){
		{Py_tp_init, subchannel_object_init},
		{Py_tp_dealloc, subchannel_object_dealloc},
		{Py_tp_methods, subchannel_methods},
		{Py_tp_getset, subchannel_attributes},
		{0},
	},
};
