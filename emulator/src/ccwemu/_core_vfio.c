/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Python binding of the channel core: the vfio-ccw device.
 * Locks are taken in the order device interface, subchannel, device, storage.
 */
#include "_core.h"

#include <errno.h>

#include "vfio_ccw.h"

typedef struct {
	PyObject_HEAD
	struct vfio_ccw vfio;
	SubchannelObject *subchannel;
	StorageObject *storage;
	PyObject *callbacks[VFIO_IRQS];
	unsigned signals[VFIO_IRQS];    /* interrupts to be delivered when the locks are free again */
	pthread_mutex_t lock;
	bool ready;
} VfioObject;

static void note_signal(void *context, enum vfio_irq irq)
{
	((VfioObject *)context)->signals[irq]++;
}

static void enter(VfioObject *self)
{
	core_lock(&self->lock);
	subchannel_enter(self->subchannel, self->storage);
}

/* Call what was registered, as often as there were interrupts. An exception in a callback is reported, not raised. */
static void deliver(PyObject *const callbacks[VFIO_IRQS], const unsigned signals[VFIO_IRQS])
{
	for (int irq = 0; irq < VFIO_IRQS; irq++) {
		for (unsigned i = 0; callbacks[irq] && i < signals[irq]; i++) {
			PyObject *result = PyObject_CallNoArgs(callbacks[irq]);

			if (!result)
				PyErr_WriteUnraisable(callbacks[irq]);
			Py_XDECREF(result);
		}
	}
}

/* Give the locks back, then deliver. The callbacks run without any lock: they may use the device. */
static void leave(VfioObject *self)
{
	PyObject *callbacks[VFIO_IRQS];
	unsigned signals[VFIO_IRQS];
	bool any = false;

	for (int irq = 0; irq < VFIO_IRQS; irq++) {
		signals[irq] = self->signals[irq];
		self->signals[irq] = 0;
		any = any || signals[irq];
		callbacks[irq] = signals[irq] ? self->callbacks[irq] : NULL;
		Py_XINCREF(callbacks[irq]);
	}
	subchannel_leave(self->subchannel, self->storage);
	pthread_mutex_unlock(&self->lock);
	if (!any)
		return;
	deliver(callbacks, signals);
	for (int irq = 0; irq < VFIO_IRQS; irq++)
		Py_XDECREF(callbacks[irq]);
}

static PyObject *result_of(int error)
{
	if (!error)
		Py_RETURN_NONE;
	errno = error;
	return PyErr_SetFromErrno(PyExc_OSError);
}

static int vfio_object_init(VfioObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"subchannel", "storage", "ida_2k", "needs_prefetch", NULL};
	struct core_state *state = core_state_of(Py_TYPE((PyObject *)self));
	PyObject *subchannel, *storage;
	struct vfio_kernel kernel;
	int ida_2k = 1, needs_prefetch = 0;

	if (self->ready) {
		PyErr_SetString(PyExc_RuntimeError, "a vfio-ccw device is initialised once");
		return -1;
	}
	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!|$pp", names, state->subchannel, &subchannel,
					 state->storage, &storage, &ida_2k, &needs_prefetch))
		return -1;
	kernel.ida_2k = ida_2k;
	kernel.needs_prefetch = needs_prefetch;
	Py_INCREF(subchannel);
	Py_INCREF(storage);
	self->subchannel = (SubchannelObject *)subchannel;
	self->storage = (StorageObject *)storage;
	vfio_ccw_init(&self->vfio, &self->subchannel->sch, &self->storage->storage, &kernel);
	self->vfio.signal = note_signal;
	self->vfio.context = self;
	pthread_mutex_init(&self->lock, NULL);
	self->ready = true;
	return 0;
}

static int vfio_object_traverse(VfioObject *self, visitproc visit, void *arg)
{
	Py_VISIT(Py_TYPE((PyObject *)self));
	for (int irq = 0; irq < VFIO_IRQS; irq++)
		Py_VISIT(self->callbacks[irq]);
	return 0;
}

static int vfio_object_clear(VfioObject *self)
{
	for (int irq = 0; irq < VFIO_IRQS; irq++)
		Py_CLEAR(self->callbacks[irq]);
	return 0;
}

/* A suspended program must not outlive the copy of it that is in here. */
static void abandon_program(VfioObject *self)
{
	uint8_t irb[CSS_IRB_SIZE];

	enter(self);
	if (self->subchannel->sch.channel.ccw_source == &self->vfio.program) {
		if (self->subchannel->sch.scsw_flags & SCSW_AC_SUSPENDED) {
			subchannel_clear(&self->subchannel->sch);
			subchannel_test(&self->subchannel->sch, irb);
		}
		self->subchannel->sch.channel.ccw_source = NULL;
	}
	if (self->vfio.state != VFIO_STANDBY && self->vfio.state != VFIO_NOT_OPER)
		vfio_ccw_close(&self->vfio);
	subchannel_leave(self->subchannel, self->storage);
	pthread_mutex_unlock(&self->lock);
}

static void vfio_object_dealloc(VfioObject *self)
{
	PyObject_GC_UnTrack(self);
	vfio_object_clear(self);
	if (self->ready) {
		abandon_program(self);
		pthread_mutex_destroy(&self->lock);
		Py_DECREF((PyObject *)self->subchannel);
		Py_DECREF((PyObject *)self->storage);
	}
	core_dealloc((PyObject *)self);
}

static PyObject *vfio_object_open(VfioObject *self, PyObject *unused)
{
	int error;

	(void)unused;
	enter(self);
	error = vfio_ccw_open(&self->vfio);
	leave(self);
	return result_of(error);
}

static PyObject *vfio_object_close(VfioObject *self, PyObject *unused)
{
	(void)unused;
	atomic_store(&self->subchannel->sch.stop, true); /* a program in progress ends first */
	enter(self);
	atomic_store(&self->subchannel->sch.stop, false);
	if (self->vfio.state != VFIO_STANDBY)
		vfio_ccw_close(&self->vfio);
	leave(self);
	Py_RETURN_NONE;
}

static PyObject *vfio_object_reset(VfioObject *self, PyObject *unused)
{
	int error;

	(void)unused;
	atomic_store(&self->subchannel->sch.stop, true);
	enter(self);
	atomic_store(&self->subchannel->sch.stop, false);
	error = vfio_ccw_reset(&self->vfio);
	leave(self);
	return result_of(error);
}

static PyObject *vfio_object_pread(VfioObject *self, PyObject *args)
{
	unsigned long long offset;
	Py_ssize_t count;
	uint8_t data[1u << VFIO_REGION_SHIFT];
	int error;

	if (!PyArg_ParseTuple(args, "Kn", &offset, &count))
		return NULL;
	if (count < 0 || (size_t)count > sizeof(data))
		return result_of(EINVAL);
	enter(self);
	error = vfio_ccw_read(&self->vfio, offset, data, (size_t)count);
	leave(self);
	return error ? result_of(error) : PyBytes_FromStringAndSize((const char *)data, count);
}

/* A halt or clear stops the program in progress; another start finds the device busy with it. */
static bool enter_for_write(VfioObject *self, bool stops)
{
	if (stops) {
		atomic_store(&self->subchannel->sch.stop, true);
		enter(self);
		atomic_store(&self->subchannel->sch.stop, false);
		return true;
	}
	if (pthread_mutex_trylock(&self->lock))
		return false;
	subchannel_enter(self->subchannel, self->storage);
	return true;
}

static PyObject *vfio_object_pwrite(VfioObject *self, PyObject *args)
{
	unsigned long long offset;
	Py_buffer data;
	Py_ssize_t size;
	int error;

	if (!PyArg_ParseTuple(args, "Ky*", &offset, &data))
		return NULL;
	size = data.len;
	if (!enter_for_write(self, offset >> VFIO_REGION_SHIFT == VFIO_ASYNC)) {
		PyBuffer_Release(&data);
		return result_of(EAGAIN);
	}
	subchannel_keep_storage(self->subchannel, self->storage);
	Py_BEGIN_ALLOW_THREADS
	error = vfio_ccw_write(&self->vfio, offset, data.buf, (size_t)size);
	Py_END_ALLOW_THREADS
	leave(self);
	PyBuffer_Release(&data);
	return error ? result_of(error) : PyLong_FromSsize_t(size);
}

static PyObject *vfio_object_set_irq(VfioObject *self, PyObject *args)
{
	PyObject *callback, *old;
	int index;

	if (!PyArg_ParseTuple(args, "iO", &index, &callback))
		return NULL;
	if (index < 0 || index >= VFIO_IRQS)
		return result_of(EINVAL);
	if (callback != Py_None && !PyCallable_Check(callback)) {
		PyErr_SetString(PyExc_TypeError, "callback: expected a function without arguments, or None");
		return NULL;
	}
	old = self->callbacks[index];
	self->callbacks[index] = callback == Py_None ? NULL : callback;
	Py_XINCREF(self->callbacks[index]);
	Py_XDECREF(old);
	Py_RETURN_NONE;
}

static PyObject *vfio_object_path_event(VfioObject *self, PyObject *args)
{
	unsigned char chpid;
	int online;

	if (!PyArg_ParseTuple(args, "bp", &chpid, &online))
		return NULL;
	enter(self);
	vfio_ccw_path_event(&self->vfio, chpid, online);
	leave(self);
	Py_RETURN_NONE;
}

static PyObject *vfio_object_report(VfioObject *self, PyObject *args)
{
	unsigned words[2];
	uint32_t report[2];
	bool queued;

	if (!PyArg_ParseTuple(args, "I|I", &words[0], &words[1]))
		return NULL;
	report[0] = words[0];
	report[1] = PyTuple_Size(args) == 2 ? words[1] : 0;
	enter(self);
	queued = vfio_ccw_report(&self->vfio, report, (unsigned)PyTuple_Size(args));
	leave(self);
	return PyBool_FromLong(queued);
}

static PyObject *vfio_object_not_operational(VfioObject *self, PyObject *unused)
{
	(void)unused;
	enter(self);
	vfio_ccw_not_operational(&self->vfio);
	leave(self);
	Py_RETURN_NONE;
}

static PyObject *vfio_object_request(VfioObject *self, PyObject *unused)
{
	(void)unused;
	enter(self);
	note_signal(self, VFIO_IRQ_REQUEST);
	leave(self);
	Py_RETURN_NONE;
}

static PyObject *vfio_object_state(VfioObject *self, void *unused)
{
	static const char *const names[VFIO_STATES] = {"NOT_OPER", "STANDBY", "IDLE", "CP_PROCESSING", "CP_PENDING"};

	(void)unused;
	return PyUnicode_FromString(names[self->vfio.state]);
}

static PyMethodDef vfio_methods[] = {
	{"open", FUNCTION(vfio_object_open), METH_NOARGS, NULL},
	{"close", FUNCTION(vfio_object_close), METH_NOARGS, NULL},
	{"reset", FUNCTION(vfio_object_reset), METH_NOARGS, NULL},
	{"pread", FUNCTION(vfio_object_pread), METH_VARARGS, NULL},
	{"pwrite", FUNCTION(vfio_object_pwrite), METH_VARARGS, NULL},
	{"set_irq", FUNCTION(vfio_object_set_irq), METH_VARARGS, NULL},
	{"path_event", FUNCTION(vfio_object_path_event), METH_VARARGS, NULL},
	{"report", FUNCTION(vfio_object_report), METH_VARARGS, NULL},
	{"not_operational", FUNCTION(vfio_object_not_operational), METH_NOARGS, NULL},
	{"request", FUNCTION(vfio_object_request), METH_NOARGS, NULL},
	{0},
};

static PyGetSetDef vfio_attributes[] = {
	{"state", (getter)vfio_object_state, NULL, NULL, NULL},
	{0},
};

PyType_Spec vfio_ccw_spec = {
	.name = "ccwemu._core.VfioCcw",
	.basicsize = sizeof(VfioObject),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
	.slots = (PyType_Slot[]){
		{Py_tp_init, vfio_object_init},
		{Py_tp_traverse, vfio_object_traverse},
		{Py_tp_clear, vfio_object_clear},
		{Py_tp_dealloc, vfio_object_dealloc},
		{Py_tp_methods, vfio_methods},
		{Py_tp_getset, vfio_attributes},
		{0},
	},
};
