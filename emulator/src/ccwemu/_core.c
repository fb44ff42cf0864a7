/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Python binding of the channel core: the module, and what its objects share. */
#include "_core.h"

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
