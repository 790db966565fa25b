/* Named places at which a fault test kills the process; in any other build they are nothing. */
#ifndef HELPDESK_BASE_CRASH_H
#define HELPDESK_BASE_CRASH_H

/* With the CMake option HELPDESK_FAULTS only: where the folder HELPDESK_CRASH_DIR holds a file
 * "<role>.<name>", the file is removed and the process kills itself with SIGKILL: once for each file. Names
 * are those found by searching the source for calls of crash_point: "<where>.<what happened before>". Any
 * thread. */
#ifdef HELPDESK_FAULTS
void crash_setup(const char *role); /* once, before any thread; `role` is borrowed */
void crash_point(const char *name);
#else
static inline void crash_setup(const char *role)
{
    (void)role;
}
static inline void crash_point(const char *name)
{
    (void)name;
}
#endif

#endif
