/* Parsing and rendering: the two places that open a heap and catch what is thrown under it. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja.h"

#include "base/name-hash.h"
#include "engine/tokenizers/jinja-run.h"

#include <glib/gi18n.h>
#include <string.h>

#define MAX_SOURCE_BYTES ((gsize) 1 << 20)
#define PARSE_MEMORY ((gsize) 128 << 20)
#define DEFAULT_STEPS ((guint64) 20 * 1000 * 1000)
#define DEFAULT_MEMORY ((gsize) 256 << 20)
#define DEFAULT_OUTPUT ((gsize) 32 << 20)
#define DEFAULT_DEPTH 1000

AtlJinja *
atl_jinja_parse (const char *source, gssize len, const AtlJinjaOptions *options, GError **error)
{
  AtlJinja *self;
  gsize n;

  g_return_val_if_fail (source != NULL, NULL);
  n = len < 0 ? strlen (source) : (gsize) len;
  if (n > MAX_SOURCE_BYTES)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_TOO_COMPLEX,
                   _ ("the chat template has %zu bytes, at most %zu are accepted"), n,
                   MAX_SOURCE_BYTES);
      return NULL;
    }
  if (!g_utf8_validate_len (source, n, NULL) && memchr (source, '\0', n) == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("the chat template is not UTF-8 text"));
      return NULL;
    }
  if (memchr (source, '\0', n) != NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("the chat template has a NUL byte"));
      return NULL;
    }

  self = g_new0 (AtlJinja, 1);
  self->words = g_hash_table_new_full (atl_name_hash, g_str_equal, g_free, NULL);
  j_heap_init (&self->heap, PARSE_MEMORY);
  if (setjmp (self->heap.escape) == 0)
    {
      j_parse (self, options, source, n);
      return self;
    }
  g_propagate_error (error, j_heap_steal_error (&self->heap));
  atl_jinja_free (self);
  return NULL;
}

void
atl_jinja_free (AtlJinja *self)
{
  if (self == NULL)
    return;
  j_heap_clear (&self->heap);
  g_clear_pointer (&self->words, g_hash_table_unref);
  g_free (self);
}

gboolean
atl_jinja_mentions (const AtlJinja *self, const char *name)
{
  g_return_val_if_fail (self != NULL && name != NULL, FALSE);
  return g_hash_table_contains (self->words, name);
}

/* Sets every variable that the template names from the context or the global functions. */
static void
bind_names (JRun *run, JsonObject *context)
{
  const JDict *names = run->jinja->names;

  run->root = j_new (&run->heap, JValue, names->n);
  for (gsize i = 0; i < names->n; i++)
    {
      const JStr *name = names->entries[i].key.str;
      const char *text = j_strndup (&run->heap, name->bytes, name->n_bytes);
      const JBuiltin *global = j_global_find (name);

      if (context != NULL && json_object_has_member (context, text))
        run->root[i] = j_from_json (&run->heap, json_object_get_member (context, text));
      else if (global != NULL)
        {
          JFunction *function = j_new (&run->heap, JFunction, 1);

          function->builtin = global;
          run->root[i] = (JValue){ .kind = J_FUNCTION, .function = function };
        }
    }
}

/* The output as a C string; a NUL, which that cannot hold, becomes the replacement character. */
static char *
finish (const JBuf *out)
{
  GString *text = g_string_sized_new (out->n + 1);

  for (gsize at = 0; at < out->n;)
    {
      const char *nul = memchr (out->bytes + at, '\0', out->n - at);
      gsize n = nul != NULL ? (gsize) (nul - out->bytes) - at : out->n - at;

      g_string_append_len (text, out->bytes + at, (gssize) n);
      at += n;
      if (nul != NULL)
        {
          g_string_append (text, "\xef\xbf\xbd");
          at++;
        }
    }
  return g_string_free (text, FALSE);
}

/* Kept apart so that no variable of the function with setjmp changes after it. FALSE if
 * run->heap.error is set. */
static gboolean
render (JRun *run, JsonObject *context)
{
  if (setjmp (run->heap.escape) != 0)
    return FALSE;
  bind_names (run, context);
  j_run_body (run, &run->jinja->body);
  return TRUE;
}

char *
atl_jinja_render (const AtlJinja *self,
                  JsonObject *context,
                  const AtlJinjaLimits *limits,
                  GDateTime *now,
                  GError **error)
{
  static const AtlJinjaLimits defaults = { 0 };
  JRun run = { .jinja = self, .now = now };
  JBuf out = { 0 };
  char *text = NULL;

  g_return_val_if_fail (self != NULL, NULL);
  if (limits == NULL)
    limits = &defaults;
  j_heap_init (&run.heap, limits->max_memory > 0 ? limits->max_memory : DEFAULT_MEMORY);
  run.heap.steps_left = limits->max_steps > 0 ? limits->max_steps : DEFAULT_STEPS;
  run.max_output = limits->max_output > 0 ? limits->max_output : DEFAULT_OUTPUT;
  run.max_depth = limits->max_depth > 0 ? MIN (limits->max_depth, DEFAULT_DEPTH) : DEFAULT_DEPTH;
  run.out = &out;
  run.block_text = j_none ();
  if (render (&run, context))
    text = finish (&out);
  else
    g_propagate_error (error, j_heap_steal_error (&run.heap));
  j_heap_clear (&run.heap);
  return text;
}
