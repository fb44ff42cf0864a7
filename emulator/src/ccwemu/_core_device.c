/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Python binding of the channel core: devices. */
#include "_core.h"

#include <errno.h>
#include <string.h>

static int device_init(DeviceObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"image", "cu_model", "dev_model", "serial", "ssid", "unit_address", "read_only",
				"announce_prefix", "long_sense", "device_end_apart", "alias", "base_unit_address",
				"other_systems", "reserved", NULL};
	struct core_state *state = core_state_of(Py_TYPE((PyObject *)self));
	struct eckd_identity identity = {.cu_model = 0xe9};
	unsigned char model = 0xe9, unit = 0;
	unsigned short ssid = 0;
	PyObject *image, *dev_model = Py_None;
	const char *serial = "000000000001";
	Py_ssize_t serial_size = 12;
	int read_only = 0, announce_prefix = 0, long_sense = 0, apart = 0, reserved = 0;
	unsigned char alias = 0, base = 0, others = 0;

	if (self->ready) {
		PyErr_SetString(PyExc_RuntimeError, "a device is initialised once");
		return -1;
	}
	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!|$bOs#Hbppppbbbp", names, state->image, &image, &model, &dev_model,
					 &serial, &serial_size, &ssid, &unit, &read_only, &announce_prefix,
					 &long_sense, &apart, &alias, &base, &others, &reserved))
		return -1;
	if ((alias && alias != ECKD_PAV_ALIAS && alias != ECKD_HYPER_PAV_ALIAS) || others > ECKD_OTHER_SYSTEMS) {
		PyErr_Format(PyExc_ValueError, "alias %d, other_systems %d: expected 0, 2 or 3, and 0 to %d", alias, others,
			     ECKD_OTHER_SYSTEMS);
		return -1;
	}
	if (!((ImageObject *)image)->image.base) {
		PyErr_SetString(PyExc_ValueError, "the disk image is closed");
		return -1;
	}
	if (!eckd_set_serial(&identity, serial, (size_t)serial_size)) {
		PyErr_Format(PyExc_ValueError, "serial number %s: expected at most %d letters A-Z and digits", serial,
			     ECKD_SERIAL_SIZE);
		return -1;
	}
	identity.cu_model = model;
	identity.ssid = ssid;
	identity.unit_address = unit;
	identity.alias = alias;
	identity.base_unit_address = base;
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
	self->eckd.announces_prefix = announce_prefix;
	self->eckd.long_sense = long_sense;
	self->eckd.ends_apart = apart;
	self->eckd.other_systems = others;
	if (reserved)
		self->eckd.reserved_by = ECKD_ANOTHER_SYSTEM;
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

void device_object_close(DeviceObject *self)
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
		device_object_close(self);
	Py_RETURN_NONE;
}

/* One byte, a command code or a suborder; -1 and an exception: it is none. */
static int parse_code(PyObject *code, const char *kind)
{
	long number = PyLong_AsLong(code);

	if (number == -1 && PyErr_Occurred())
		return -1;
	if (number < 0 || number > UINT8_MAX) {
		PyErr_Format(PyExc_ValueError, "%s %ld; 0 to 255 are possible", kind, number);
		return -1;
	}
	return (int)number;
}

static PyObject *device_reject(DeviceObject *self, PyObject *code)
{
	int command = parse_code(code, "command code");

	if (command < 0)
		return NULL;
	core_lock(&self->lock);
	device_refuse(&self->eckd.device, (uint8_t)command);
	pthread_mutex_unlock(&self->lock);
	Py_RETURN_NONE;
}

static PyObject *device_reject_suborder(DeviceObject *self, PyObject *code)
{
	int suborder = parse_code(code, "suborder");

	if (suborder < 0)
		return NULL;
	core_lock(&self->lock);
	eckd_refuse_page(&self->eckd, (uint8_t)suborder);
	pthread_mutex_unlock(&self->lock);
	Py_RETURN_NONE;
}

static bool parse_fault(PyObject *args, struct fault *fault)
{
	unsigned id, kind, command, skip, left;
	const char *sense;
	Py_ssize_t size;

	if (!PyArg_ParseTuple(args, "IIIIIy#", &id, &kind, &command, &skip, &left, &sense, &size))
		return false;
	if (kind > FAULT_LOST_INTERRUPT || command > FAULT_ANY_COMMAND || size > (Py_ssize_t)sizeof(fault->sense)) {
		PyErr_Format(PyExc_ValueError, "fault of kind %u on command %u with %zd sense bytes: expected a kind up to "
			     "%d, a command up to %d, at most %zu bytes", kind, command, size, (int)FAULT_LOST_INTERRUPT,
			     (int)FAULT_ANY_COMMAND, sizeof(fault->sense));
		return false;
	}
	*fault = (struct fault){.id = id, .kind = (enum fault_kind)kind, .command = (uint16_t)command, .skip = skip,
				.left = left};
	memcpy(fault->sense, sense, (size_t)size);
	return true;
}

static PyObject *device_arm_fault(DeviceObject *self, PyObject *args)
{
	struct fault fault;
	int error;

	if (!parse_fault(args, &fault))
		return NULL;
	core_lock(&self->lock);
	error = fault_arm(&self->eckd.device.faults, &fault);
	pthread_mutex_unlock(&self->lock);
	if (!error)
		Py_RETURN_NONE;
	errno = error;
	return PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *device_disarm_fault(DeviceObject *self, PyObject *args)
{
	unsigned id;

	if (!PyArg_ParseTuple(args, "I", &id))
		return NULL;
	core_lock(&self->lock);
	fault_disarm(&self->eckd.device.faults, id);
	pthread_mutex_unlock(&self->lock);
	Py_RETURN_NONE;
}

/* (id, skip, left) of those that have counted since this was asked last. */
static PyObject *device_fault_changes(DeviceObject *self, PyObject *unused)
{
	struct fault changed[FAULT_SLOTS];
	PyObject *list = PyList_New(0);
	size_t count = 0;

	(void)unused;
	core_lock(&self->lock);
	while (count < FAULT_SLOTS && fault_take_change(&self->eckd.device.faults, &changed[count]))
		count++;
	pthread_mutex_unlock(&self->lock);
	for (size_t i = 0; list && i < count; i++) {
		PyObject *item = Py_BuildValue("(III)", changed[i].id, changed[i].skip, changed[i].left);

		if (!item || PyList_Append(list, item))
			Py_CLEAR(list);
		Py_XDECREF(item);
	}
	return list;
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

/* The model number that a disk of so many cylinders has. */
static PyObject *device_model_of(PyObject *unused, PyObject *cylinders)
{
	unsigned long count = PyLong_AsUnsignedLong(cylinders);

	(void)unused;
	if (count == (unsigned long)-1 && PyErr_Occurred())
		return NULL;
	if (!count || count > CKD_MAX_CYLINDERS) {
		PyErr_Format(PyExc_ValueError, "%lu cylinders, expected 1 to %u", count, CKD_MAX_CYLINDERS);
		return NULL;
	}
	return PyLong_FromLong(eckd_model_of((uint32_t)count));
}

static PyMethodDef device_methods[] = {
	{"model_of", device_model_of, METH_O | METH_STATIC, NULL},
	{"close", FUNCTION(device_close), METH_NOARGS, NULL},
	{"reject", FUNCTION(device_reject), METH_O, NULL},
	{"reject_suborder", FUNCTION(device_reject_suborder), METH_O, NULL},
	{"arm_fault", FUNCTION(device_arm_fault), METH_VARARGS, NULL},
	{"disarm_fault", FUNCTION(device_disarm_fault), METH_VARARGS, NULL},
	{"fault_changes", FUNCTION(device_fault_changes), METH_NOARGS, NULL},
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
