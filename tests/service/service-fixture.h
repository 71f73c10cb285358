/* The service in the test's own process, at the other end of a socket pair.
 *
 *   World world;
 *   world_open (&world, devices);              takes the devices
 *   model = world_load (&world, path, "{'device': <'cpu'>}", &error);
 *   ran_on = world_ask (&world, model);
 *   world_close (&world);
 */
#pragma once

#include <gio/gio.h>

#include "engine/service/service.h"
#include "protocol/protocol.h"

typedef struct
{
  GDBusConnection *near, *far;
  guint subscription;
  AtlDevices *devices;
  AtlService *service;
  GString *text;
  char *failure;     /* of the last request (nullable) */
  GVariant *stats;   /* (nullable) */
  guint n_silent;    /* times that the device was told to be silent */
  gint device_state; /* as last told; -1 before */
  GString *unloaded; /* a line "NUMBER WORDS" for each model that went by itself */
} World;

/* The path of the tiny model, or NULL after marking the test as skipped. */
char *world_model_path (void);

void world_open (World *world, AtlDevices *devices);
void world_close (World *world);

/* The model's number; 0 with an error. `path` is a file or a folder; `options` is a GVariant in
 * text form. */
guint world_load (World *world, const char *path, const char *options, GError **error);
void world_unload (World *world, guint model);
/* Asks and waits; what it ran on, or NULL when it failed. */
char *world_ask (World *world, guint model);

/* A red fox of side × side pixels, [side, side, 3]; NULL with world->failure. What it says of
 * itself is in world->stats, the phases it went through in world->text, a line each. The caller's.
 */
GBytes *world_draw (World *world, guint model, guint side, guint steps);
/* The same with settings of its own, which are taken, and patterns for the `inputs` that are asked
 * for (roles, separated by spaces): of that size, references larger than any model's own. */
GBytes *world_draw_of (
    World *world, guint model, GVariant *settings, guint width, guint height, const char *inputs);
/* The same where its size is not known beforehand: whether it was made. */
gboolean world_try (World *world, guint model, GVariant *settings, guint side, const char *inputs);
/* The same for a pattern that is enlarged: [side * factor, side * factor, 3]. */
GBytes *world_enlarge (World *world, guint model, guint side, guint factor);
/* What such a fox in two steps would take (ATL_INFO_*, ATL_PRICE_*). The caller's. */
GVariant *world_price (World *world, guint model, guint side);
GVariant *world_price_of (World *world, guint model, GVariant *settings, const char *inputs);
