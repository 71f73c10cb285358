/* For tests of what happens where the system begins no more threads: included by one file of a
 * program, it takes the place of the C library's pthread_create(). */
#pragma once

#include <dlfcn.h>
#include <errno.h>
#include <glib.h>
#include <pthread.h>

/* TRUE: every thread that is asked for from now on is refused. */
static gboolean refuses_threads;

int
pthread_create (pthread_t *thread, const pthread_attr_t *attr, void *(*func) (void *), void *data)
{
  static int (*real) (pthread_t *, const pthread_attr_t *, void *(*) (void *), void *);

  if (refuses_threads)
    return EAGAIN;
  if (real == NULL)
    *(gpointer *) &real = dlsym (RTLD_NEXT, "pthread_create");
  return real (thread, attr, func, data);
}
