/* How each family of models writes tool calls: one row a format.
 *
 *   const AtlToolFormat *format = atl_tool_format_detect (template_source);
 *
 * A call is framed by marks: `open`, then one or more calls each between `call_open` and
 * `call_close`, then `close`. In the rows a mark stands as the model writes it, line ends included
 * ("\f": a line end that some versions leave out); readers take any blanks for those.
 *
 * Threading: constant data.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  ATL_CALL_JSON,    /* {"name": ..., "arguments": {...}}, one or a list of them */
  ATL_CALL_NAMED,   /* a name, then the arguments as a JSON object */
  ATL_CALL_TAGGED,  /* a name, then keys and values between marks */
  ATL_CALL_PYTHON,  /* [name(key=value, ...), ...] */
  ATL_CALL_GEMMA,   /* call:name{key:value, ...} */
  ATL_CALL_HARMONY, /* channels of gpt-oss: harmony.h */
} AtlCallStyle;

typedef struct
{
  const char *name;
  const char *detect[3]; /* all of these stand in the template */
  AtlCallStyle style;
  gboolean single;     /* each call opens and closes anew */
  gboolean is_list;    /* the calls are a JSON list */
  gboolean is_bare;    /* a call begins the answer without `open` */
  gboolean reads_bare; /* it should not, but models do it */

  const char *open;     /* before the first call */
  const char *alt_open; /* (nullable) where the first call begins if `open` was left out */
  const char *close;    /* (nullable) behind the last call */
  const char *call_open, *call_close, *between; /* (nullable) */
  const char *text_head;                        /* (nullable) what stands before plain text */

  /* ATL_CALL_JSON: the keys; name_key NULL: {"name": {arguments}}. */
  const char *name_key, *args_key, *id_key;
  /* ATL_CALL_NAMED, _TAGGED: around the name. name_tail (nullable) is GBNF for what is no part of
   * the name but comes with it. */
  const char *id_end;      /* (nullable) an id comes first and ends here */
  const char *name_prefix; /* (nullable) before the name; with it and name_tail it is the id */
  const char *name_end;    /* behind the name */
  const char *name_tail;
  /* ATL_CALL_TAGGED */
  const char *key_open, *key_end, *value_close;
  const char *key_end_json; /* (nullable) instead of key_end for values that are no strings */
} AtlToolFormat;

/* The format that `source`, a template's text, shows; NULL if none. */
const AtlToolFormat *atl_tool_format_detect (const char *source);
/* The format with this name; NULL if there is none. */
const AtlToolFormat *atl_tool_format_by_name (const char *name);
/* The format that models without one of their own are asked to write, and how they are asked: to be
 * put into the system message, followed by the tools as JSON. */
const AtlToolFormat *atl_tool_format_generic (void);
const char *atl_tool_format_generic_request (void);
/* The rows, ended by one without a name. */
const AtlToolFormat *atl_tool_formats (void);
/* Calls `visit` for every mark of the row that the model writes, which a vocabulary may have as one
 * control token. */
void atl_tool_format_visit_marks (const AtlToolFormat *self,
                                  void (*visit) (const char *mark, gpointer data),
                                  gpointer data);

G_END_DECLS
