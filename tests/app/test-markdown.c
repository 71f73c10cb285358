/* Markdown of a model -> blocks: a table of cases, and hostile input in bounded time. */
#include "app/chat/latex.h"
#include "app/chat/markdown.h"

#include <string.h>
#include <time.h>

/* One line a block, as in "p:text", "h2:text", "-1•:item", "code(c):x", "table2:a|b|c|d". */
static char *
dump (GPtrArray *blocks)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < blocks->len; i++)
    {
      const AtlMdBlock *b = g_ptr_array_index (blocks, i);
      static const char *const names[] = { "p", "h", "code", "math", "table", "rule" };
      if (i > 0)
        g_string_append_c (out, '\n');
      for (guint q = 0; q < b->quote; q++)
        g_string_append_c (out, '>');
      if (b->indent > 0)
        g_string_append_printf (out, "-%u", b->indent);
      if (b->marker != NULL)
        g_string_append (out, b->marker);
      if (b->task != ATL_MD_TASK_NONE)
        g_string_append (out, b->task == ATL_MD_TASK_DONE ? "[x]" : "[ ]");
      g_string_append (out, names[b->kind]);
      if (b->level > 0)
        g_string_append_printf (out, "%u", b->level);
      if (b->language != NULL)
        g_string_append_printf (out, "(%s)", b->language);
      g_string_append_c (out, ':');
      if (b->cells != NULL)
        for (guint c = 0; c < b->cells->len; c++)
          g_string_append_printf (out, "%s%s", c ? "|" : "",
                                  (char *) g_ptr_array_index (b->cells, c));
      else
        g_string_append (out, b->markup ? b->markup : b->text ? b->text : "");
    }
  return g_string_free (out, FALSE);
}

typedef struct
{
  const char *name, *text, *expected;
} Case;

#define CODE(x)                                                                                    \
  "<span font_family=\"monospace\" background=\"#808080\" background_alpha=\"16%\" "               \
  "size=\"95%\">" x "</span>"

static const Case cases[] = {
  { "paragraphs", "one\n\ntwo", "p:one\np:two" },
  { "line-breaks-stay", "roses\nviolets", "p:roses\nviolets" },
  { "emphasis", "a **b** *c* ~~d~~", "p:a <b>b</b> <i>c</i> <s>d</s>" },
  { "heading", "## Two", "h2:Two" },
  { "bullets", "- a\n- b\n  - c", "-1•p:a\n-1•p:b\n-2•p:c" },
  { "numbers", "3. a\n4. b", "-13.p:a\n-14.p:b" },
  { "item-of-two-paragraphs", "- a\n\n  b", "-1•p:a\n-1p:b" },
  { "tasks", "- [x] done\n- [ ] open", "-1•[x]p:done\n-1•[ ]p:open" },
  { "quote", "> a\n>> b", ">p:a\n>>p:b" },
  { "code-inline", "use `a<b`", "p:use " CODE ("a&lt;b") },
  { "code-fence", "```c\nint a;\n\nint b;\n```", "code(c):int a;\n\nint b;" },
  { "code-unfinished", "```py\nprint(1)", "code(py):print(1)" },
  { "code-in-item", "- a\n  ```\n  x\n  ```", "-1•p:a\n-1code:x" },
  { "rule", "a\n\n---\n\nb", "p:a\nrule:\np:b" },
  { "table", "|a|b|\n|-|-:|\n|1|2|", "table:a|b|1|2" },
  { "table-after-text", "Fruits:\n| a | b |\n|---|---|\n| 1 | 2 |", "p:Fruits:\ntable:a|b|1|2" },
  { "table-in-item", "1. Fruits:\n   | a | b |\n   |---|:-:|\n   | 1 | 2 |\n2. more",
    "-11.p:Fruits:\n-1table:a|b|1|2\n-12.p:more" },
  { "table-in-quote", "> x\n> |a|\n> |-|\n> |1|", ">p:x\n>table:a|1" },
  { "table-after-fence", "```\n|a|\n```\n|b|\n|-|\n|1|", "code:|a|\ntable:b|1" },
  { "table-rule-inside", "|a|\n|-|\n|1|\n|-|\n|2|", "table:a|1|---|2" },
  { "table-too-narrow", "x\n|a|b|\n|---|", "p:x\n|a|b|\n|---|" },
  { "table-break", "|a|\n|-|\n|x<br>y|", "table:a|x\ny" },
  { "table-formats", "|a|\n|-|\n|**x** & y|", "table:a|<b>x</b> &amp; y" },
  { "link", "[t](https://a.b/?x=1&y=2)", "p:<a href=\"https://a.b/?x=1&amp;y=2\">t</a>" },
  { "link-of-a-file", "[t](file:///etc/passwd)", "p:<span>t</span>" },
  { "link-of-a-script", "[t](javascript:alert(1))", "p:<span>t</span>" },
  { "image-is-text", "![alt](https://x/y.png)", "p:<i>🖼 alt</i>" },
  { "html-is-text", "<b>x</b>", "p:&lt;b&gt;x&lt;/b&gt;" },
  { "markup-is-text", "<span foreground=\"red\">&lt;</span>",
    "p:&lt;span foreground=&quot;red&quot;&gt;&lt;&lt;/span&gt;" },
  { "entities", "&copy; &#65; &#x0; &nosuch;", "p:© A &amp;#x0; &amp;nosuch;" },
  { "money", "It costs $5 and $10 today", "p:It costs $5 and $10 today" },
  { "math-dollar", "so $x^2$ is", "p:so <span><i>x</i><sup>2</sup></span> is" },
  { "math-paren", "so \\(a_i\\)", "p:so <span><i>a</i><sub><i>i</i></sub></span>" },
  { "math-keeps-stars", "$a*b*c$", "p:<span><i>a</i>*<i>b</i>*<i>c</i></span>" },
  { "math-display", "\\[\nx = y\n\\]", "math:<i>x</i> = <i>y</i>" },
  { "math-display-dollars", "a:\n$$\nx\n$$\nb", "p:a:\nmath:<i>x</i>\np:b" },
  { "math-display-unfinished", "$$\nx + ", "math:<i>x</i> +" },
  { "math-not-in-code", "```\n$x$\n\\[ y \\]\n```", "code:$x$\n\\[ y \\]" },
  { "math-not-in-code-span", "`$x$`", "p:" CODE ("$x$") },
  { "empty-item", "- a\n-", "-1•p:a\n-1•p:" },
  { "empty", "", "" },
  { "invalid-utf8", "a\xff", "p:a\xEF\xBF\xBD" },
};

static void
test_case (gconstpointer data)
{
  const Case *c = data;
  g_autoptr (GPtrArray) blocks = atl_markdown_parse (c->text, -1);
  g_autofree char *got = dump (blocks);
  g_assert_cmpstr (got, ==, c->expected);
}

static const Case formulas[] = {
  { "greek", "\\alpha\\beta", "αβ" },
  { "fraction-short", "\\frac{1}{2}", "<sup>1</sup>⁄<sub>2</sub>" },
  { "fraction-product", "\\frac{a+b}{2a}", "(<i>a</i> + <i>b</i>)\u2009/\u2009(2<i>a</i>)" },
  { "fraction-power", "\\frac{a+b}{x^2}",
    "(<i>a</i> + <i>b</i>)\u2009/\u2009<i>x</i><sup>2</sup>" },
  { "fraction-number", "\\frac{a+b}{12}", "(<i>a</i> + <i>b</i>)\u2009/\u200912" },
  { "fraction-long", "\\frac{a+b}{c}", "(<i>a</i> + <i>b</i>)\u2009/\u2009<i>c</i>" },
  { "root", "\\sqrt{x}", "√<span overline=\"single\"><i>x</i></span>" },
  { "sum", "\\sum_{i=1}^{n} i", "∑<sub><i>i</i> = 1</sub><sup><i>n</i></sup><i>i</i>" },
  { "relation", "a \\leq b", "<i>a</i> ≤ <i>b</i>" },
  { "minus", "-1", "−1" },
  { "text", "x \\text{ if } y", "<i>x</i> if <i>y</i>" },
  { "sets", "\\mathbb{R}^n", "ℝ<sup><i>n</i></sup>" },
  { "matrix", "\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", "⎛ 1\u20032 ⎞\n⎝ 3\u20034 ⎠" },
  { "brackets", "\\left( x \\right)", "(<i>x</i>)" },
  { "degree", "90^\\circ", "90°" },
  { "unknown", "\\nosuch{x}", "\\nosuch<i>x</i>" },
  { "escaped", "a < b & c", "<i>a</i> &lt; <i>b</i>\u2003<i>c</i>" },
};

static void
test_formula (gconstpointer data)
{
  const Case *c = data;
  g_autofree char *got = atl_latex_to_markup (c->text);
  g_assert_cmpstr (got, ==, c->expected);
}

/* GMarkup stands in for Pango here: what it takes is well formed. */
static void
assert_well_formed (const char *markup)
{
  static const GMarkupParser none = { 0 };
  g_autoptr (GMarkupParseContext) context = g_markup_parse_context_new (&none, 0, NULL, NULL);
  g_autofree char *whole = g_strdup_printf ("<markup>%s</markup>", markup);
  g_autoptr (GError) error = NULL;
  g_markup_parse_context_parse (context, whole, -1, &error);
  g_assert_no_error (error);
  g_markup_parse_context_end_parse (context, &error);
  g_assert_no_error (error);
}

static void
assert_sane (const char *text)
{
  clock_t start = clock ();
  g_autoptr (GPtrArray) blocks = atl_markdown_parse (text, -1);
  /* Milliseconds of the processor; the bound is for blow-ups only. */
  g_assert_cmpint ((clock () - start) / CLOCKS_PER_SEC, <, 60);
  for (guint i = 0; i < blocks->len; i++)
    {
      const AtlMdBlock *b = g_ptr_array_index (blocks, i);
      if (b->markup != NULL)
        {
          assert_well_formed (b->markup);
          if (b->kind == ATL_MD_PARAGRAPH)
            g_assert_cmpuint (strlen (b->markup), <, 200 * 1024);
        }
      for (guint c = 0; b->cells != NULL && c < b->cells->len; c++)
        assert_well_formed (g_ptr_array_index (b->cells, c));
    }
}

static void
test_hostile_repeated (gconstpointer data)
{
  const char *unit = data;
  GString *text = g_string_new (NULL);
  while (text->len + strlen (unit) < ATL_MD_MAX_BYTES)
    g_string_append (text, unit);
  assert_sane (text->str);
  g_string_free (text, TRUE);
}

static void
test_hostile_line (void)
{
  g_autofree char *line = g_strnfill (1 << 20, 'x');
  g_autoptr (GPtrArray) blocks = atl_markdown_parse (line, -1);
  g_assert_cmpuint (blocks->len, ==, (1 << 20) / (ATL_MD_SPLIT_CHARS + 2 * ATL_MD_SPLIT_SLACK) + 1);
  assert_sane (line);
}

/* A long paragraph is split where a line ends, or else a word. */
static void
test_split (void)
{
  static const char *const units[] = { "nine words, which are followed by another line\n",
                                       "several words in lines " };

  for (guint i = 0; i < G_N_ELEMENTS (units); i++)
    {
      g_autoptr (GString) text = g_string_new (NULL);
      g_autoptr (GString) joined = g_string_new (NULL);
      g_autoptr (GPtrArray) blocks = NULL;

      while (text->len < 5 * ATL_MD_SPLIT_CHARS)
        g_string_append (text, units[i]);
      g_string_truncate (text, text->len - 1);
      blocks = atl_markdown_parse (text->str, -1);
      g_assert_cmpuint (blocks->len, >, 3);
      for (guint k = 0; k < blocks->len; k++)
        {
          const AtlMdBlock *block = blocks->pdata[k];

          g_assert_cmpint (block->continued, ==, k > 0);
          g_string_append_printf (joined, "%s%s", k == 0 ? "" : i == 0 ? "\n" : " ", block->markup);
        }
      g_assert_cmpstr (joined->str, ==, text->str);
    }
}

/* Code among words that run from the right keeps its signs at its own ends. */
static void
test_isolates (void)
{
  g_autoptr (GPtrArray) blocks = atl_markdown_parse ("שלום `--help` ו `a<b()` סוף", -1);
  const AtlMdBlock *block = blocks->pdata[0];
  g_autofree char *apart = atl_markdown_isolate_code (block->markup);
  g_autofree char *own = atl_markdown_without_isolates (apart);
  g_autofree char *none = atl_markdown_isolate_code ("a <b>b</b>");

  g_assert_cmpstr (apart, ==,
                   "שלום \xE2\x81\xA6" CODE ("--help") "\xE2\x81\xA9 ו \xE2\x81\xA6" CODE (
                       "a&lt;b()") "\xE2\x81\xA9 סוף");
  g_assert_cmpstr (own, ==, block->markup);
  g_assert_cmpstr (none, ==, "a <b>b</b>");
}

/* Random mixes of what Markdown gives meaning to: every result must be well-formed markup. */
static void
test_hostile_mixes (void)
{
  static const char *const parts[] = {
    "*",
    "**",
    "_",
    "`",
    "```",
    "~~",
    "[",
    "](",
    ")",
    "![",
    "<",
    ">",
    "&",
    "$",
    "$$",
    "\\(",
    "\\)",
    "\\[",
    "\\]",
    "|",
    "\n",
    "\n\n",
    "- ",
    "1. ",
    "> ",
    "# ",
    "---",
    " ",
    "a",
    "é",
    "\\frac{",
    "}",
    "{",
    "^",
    "_",
    "\\begin{pmatrix}",
    "\\end{pmatrix}",
    "\\\\",
    "\\sqrt[",
    "https://a.b",
    "&#x41;",
    "<br>",
    "\xff",
    "\x01",
    "|-|-|\n",
    ATL_MD_MATH_MARK,
    "\t",
    "    ",
  };
  g_autoptr (GRand) rand = g_rand_new_with_seed (20);

  for (guint i = 0; i < 4000; i++)
    {
      g_autoptr (GString) text = g_string_new (NULL);
      guint n = g_rand_int_range (rand, 1, 60);
      for (guint k = 0; k < n; k++)
        g_string_append (text, parts[g_rand_int_range (rand, 0, G_N_ELEMENTS (parts))]);
      assert_sane (text->str);
    }
}

/* Streaming: blocks before the last two never change their kind as text grows. */
static void
test_streaming_is_stable (void)
{
  const char *text =
      "# T\n\nA **b** c.\n\n- x\n- y\n\n```c\nint a;\n```\n\n|a|b|\n|-|-|\n|1|2|\n\nEnd.";
  g_autoptr (GPtrArray) whole = atl_markdown_parse (text, -1);

  for (gsize n = 1; n < strlen (text); n++)
    {
      g_autoptr (GPtrArray) part = atl_markdown_parse (text, n);
      for (guint i = 0; i + 2 < part->len; i++)
        g_assert_true (
            atl_md_block_equal (g_ptr_array_index (part, i), g_ptr_array_index (whole, i)));
    }
}

int
main (int argc, char **argv)
{
  static const char *const units[] = { "[",   "![",      "*a_ ",   "`",      "> ", "<",
                                       "|a",  "$",       "\\(",    "\\[",    "- ", "**",
                                       "_a",  "~~",      "&#x41;", "1. ",    "](", "\n\n",
                                       "``a", "|-|-|\n", "<br>",   "\\frac{" };
  g_test_init (&argc, &argv, NULL);
  g_test_set_nonfatal_assertions ();
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = g_strconcat ("/app/markdown/", cases[i].name, NULL);
      g_test_add_data_func (path, &cases[i], test_case);
    }
  for (guint i = 0; i < G_N_ELEMENTS (formulas); i++)
    {
      g_autofree char *path = g_strconcat ("/app/latex/", formulas[i].name, NULL);
      g_test_add_data_func (path, &formulas[i], test_formula);
    }
  for (guint i = 0; i < G_N_ELEMENTS (units); i++)
    {
      g_autofree char *path = g_strdup_printf ("/app/markdown/hostile/repeated-%u", i);
      g_test_add_data_func (path, units[i], test_hostile_repeated);
    }
  g_test_add_func ("/app/markdown/hostile/line", test_hostile_line);
  g_test_add_func ("/app/markdown/split", test_split);
  g_test_add_func ("/app/markdown/isolates", test_isolates);
  g_test_add_func ("/app/markdown/hostile/mixes", test_hostile_mixes);
  g_test_add_func ("/app/markdown/streaming-is-stable", test_streaming_is_stable);
  return g_test_run ();
}
