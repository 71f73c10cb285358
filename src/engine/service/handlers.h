/* The methods of the interface (protocol/engine.xml), each in the file that is named; service.c has
 * the rest and connects them all. Each answers its call, at once or when its job is done, and
 * returns G_DBUS_METHOD_INVOCATION_HANDLED.
 *
 * Threading: the main thread.
 */
#pragma once

#include "engine/service/service.h"
#include "engine1.h"

G_BEGIN_DECLS

/* adapters.c */
gboolean atl_handle_set_adapters (AtlIpcEngine1 *skeleton,
                                  GDBusMethodInvocation *invocation,
                                  guint model,
                                  GVariant *strengths,
                                  AtlService *self);
/* ask.c */
gboolean atl_handle_chat (AtlIpcEngine1 *skeleton,
                          GDBusMethodInvocation *invocation,
                          guint request,
                          guint model,
                          const char *messages,
                          GVariant *params,
                          AtlService *self);
gboolean atl_handle_complete (AtlIpcEngine1 *skeleton,
                              GDBusMethodInvocation *invocation,
                              guint request,
                              guint model,
                              const char *prompt,
                              GVariant *params,
                              AtlService *self);
/* check-form.c */
gboolean atl_handle_check_form (AtlIpcEngine1 *skeleton,
                                GDBusMethodInvocation *invocation,
                                GVariant *params,
                                AtlService *self);
/* inspect.c */
gboolean atl_handle_inspect (AtlIpcEngine1 *skeleton,
                             GDBusMethodInvocation *invocation,
                             GUnixFDList *fds,
                             guint request,
                             GVariant *files,
                             GVariant *options,
                             AtlService *self);
/* keep.c */
gboolean atl_handle_keep_conversation (AtlIpcEngine1 *skeleton,
                                       GDBusMethodInvocation *invocation,
                                       GUnixFDList *fds,
                                       guint model,
                                       const char *conversation,
                                       GVariant *files,
                                       guint64 number,
                                       guint64 max_bytes,
                                       AtlService *self);
gboolean atl_handle_keep_all (AtlIpcEngine1 *skeleton,
                              GDBusMethodInvocation *invocation,
                              guint timeout_ms,
                              AtlService *self);
/* load.c */
gboolean atl_handle_load (AtlIpcEngine1 *skeleton,
                          GDBusMethodInvocation *invocation,
                          GUnixFDList *fds,
                          guint request,
                          GVariant *files,
                          GVariant *options,
                          AtlService *self);
/* picture-ask.c */
gboolean atl_handle_create (AtlIpcEngine1 *skeleton,
                            GDBusMethodInvocation *invocation,
                            GUnixFDList *fds,
                            guint request,
                            guint model,
                            GVariant *settings,
                            GVariant *files,
                            AtlService *self);
/* picture-judge.c */
gboolean atl_handle_price_picture (AtlIpcEngine1 *skeleton,
                                   GDBusMethodInvocation *invocation,
                                   guint model,
                                   GVariant *settings,
                                   AtlService *self);
/* picture-read.c */
gboolean atl_handle_read_picture (AtlIpcEngine1 *skeleton,
                                  GDBusMethodInvocation *invocation,
                                  GUnixFDList *fds,
                                  guint request,
                                  GVariant *files,
                                  GVariant *options,
                                  AtlService *self);
/* picture-send.c */
gboolean atl_handle_enough (AtlIpcEngine1 *skeleton,
                            GDBusMethodInvocation *invocation,
                            guint request,
                            AtlService *self);
gboolean atl_handle_pause (AtlIpcEngine1 *skeleton,
                           GDBusMethodInvocation *invocation,
                           guint request,
                           gboolean is_paused,
                           AtlService *self);
/* picture-upscale.c */
gboolean atl_handle_upscale (AtlIpcEngine1 *skeleton,
                             GDBusMethodInvocation *invocation,
                             GUnixFDList *fds,
                             guint request,
                             guint model,
                             GVariant *settings,
                             GVariant *files,
                             AtlService *self);
/* unload.c */
gboolean atl_handle_unload (AtlIpcEngine1 *skeleton,
                            GDBusMethodInvocation *invocation,
                            guint model,
                            AtlService *self);

G_END_DECLS
