/* All ways in which a text can stand in a grammar, kept as sets of stacks.
 *
 * A stack is a chain of nodes, each the place of the next symbol in one rule and what comes after
 * that rule; equal nodes are one node, so that stacks share their tails and equal stacks have equal
 * numbers. A state is the set of nodes whose next symbol reads a character or token. Transitions
 * between states are remembered, so that a grammar becomes an automaton where it is used, and a
 * step costs a table look-up. What is remembered is thrown away when it grows too large.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "engine/samplers/grammar-private.h"

G_BEGIN_DECLS

/* Node 0 is the bottom of every stack: nothing is left to read. */
#define ATL_GBNF_DONE 0
#define ATL_GBNF_NO_NODE G_MAXUINT32
#define ATL_GBNF_DEAD G_MAXUINT32 /* the state in which nothing can be read */
/* Nodes and states remembered before it is time to compact. */
#define ATL_GBNF_MAX_NODES 400000
#define ATL_GBNF_MAX_STATES 6000

typedef struct
{
  guint32 symbol; /* of the grammar: what is read next */
  guint32 parent; /* the node to go on with after this rule */
  guint32 count;  /* how often a repetition at `symbol` was done */
  guint32 chain;  /* the next node of the same hash */
} AtlGbnfNode;

typedef struct
{
  guint32 first; /* of tops[] */
  guint32 n;
  gboolean complete; /* the text may end here */
  guint32 *ascii;    /* (owned) (nullable) [128] transitions */
} AtlGbnfState;

typedef struct
{
  guint32 state;
  gunichar c;
  guint32 to;
} AtlGbnfStep;

typedef struct
{
  const AtlGrammar *grammar;
  GArray *nodes;       /* (owned) AtlGbnfNode */
  guint32 *node_heads; /* (owned) [node_mask + 1] */
  guint32 node_mask;
  GArray *marks;       /* (owned) guint32 by node: the closure that saw it last */
  GArray *least;       /* (owned) guint32 by node: the least count of a repetition seen there */
  GArray *states;      /* (owned) AtlGbnfState */
  GArray *tops;        /* (owned) guint32: nodes */
  GHashTable *by_tops; /* (owned) hash of the tops -> state + 1 */
  AtlGbnfStep *cache;  /* (owned) transitions by other than ASCII characters */
  GArray *work;        /* (owned) guint32: nodes to look at */
  GArray *found;       /* (owned) guint32: tops of the closure */
  guint32 closure;     /* its number, for marks */
  gboolean failed;     /* the budget for ambiguity is spent: all that follows is ATL_GBNF_DEAD */
} AtlGbnfStates;

#define atl_gbnf_state(s, id) (&g_array_index ((s)->states, AtlGbnfState, (id)))
#define atl_gbnf_top(s, state, i)                                                                  \
  (&g_array_index ((s)->nodes, AtlGbnfNode,                                                        \
                   g_array_index ((s)->tops, guint32, (state)->first + (i))))

void atl_gbnf_states_init (AtlGbnfStates *m, const AtlGrammar *grammar);
void atl_gbnf_states_clear (AtlGbnfStates *m);
/* Forgets everything; the state at the beginning of the grammar, or ATL_GBNF_DEAD. */
guint32 atl_gbnf_states_start (AtlGbnfStates *m);
/* Forgets all but the states *kept[n_kept], whose numbers are changed. */
void atl_gbnf_states_compact (AtlGbnfStates *m, guint32 *const *kept, guint n_kept);

/* The state after reading `c`. */
guint32 atl_gbnf_states_step (AtlGbnfStates *m, guint32 from, gunichar c);

/* A state put together by hand: begin, push nodes, close. */
void atl_gbnf_states_begin (AtlGbnfStates *m);
void atl_gbnf_states_push (AtlGbnfStates *m, guint32 node);
guint32 atl_gbnf_states_close (AtlGbnfStates *m);
/* What comes after the symbol of a node: the next one of its rule, or what follows the rule. */
guint32 atl_gbnf_states_after (AtlGbnfStates *m, guint32 symbol, guint32 parent);

/* --- grammar-shortest.c --- */

/* The shortest text that makes `state` complete; NULL if there is none of at most 64 KiB. `name`
 * (nullable: tokens by their number cannot be used) spells a token. */
char *atl_gbnf_states_shortest (const AtlGbnfStates *m,
                                guint32 state,
                                AtlGrammarPieceFunc name,
                                gpointer data);

G_END_DECLS
