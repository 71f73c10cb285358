/* What tests of the window do again and again: find the open conversation and its rows, let a turn
 * happen as the engine would make it. */
#pragma once

#include "app-fixture.h"

#include "app/chat/conversation.h"
#include "app/models/model-list.h"
#include "hub/library.h"
#include "client/client-private.h"

/* Of the window's chat page; borrowed. */
AtlConversation *app_conversation (AppFixture *f);
GtkWidget *app_composer (AppFixture *f);
/* Negative positions count from the end; borrowed. */
AtlMessageItem *app_message (AtlConversation *conversation, int index);
/* The row that shows the message; it must be in sight. */
GtkWidget *app_message_row (AppFixture *f, AtlMessageItem *item);
/* The dialog that asks something, or NULL; borrowed. */
AdwMessageDialog *app_dialog (void);
/* An action of the window, with a word or NULL, and what follows from it. */
void app_act (AppFixture *f, const char *action, const char *parameter);
/* Looks through a window called `what`, in which at least so many things are to be found. */
typedef void (*AppCheck) (GtkWidget *window, const char *what, guint least);
/* Shows the window, checks it and closes it. */
void app_check_window (AppCheck check, GtkWidget *window, const char *what, guint least);
/* A key pressed in `widget`, as far as its own controllers of the capture phase take keys: whether
 * one did. */
gboolean app_press (GtkWidget *widget, guint key, GdkModifierType state);
/* Drops files on a window at that place of it: whether they were taken. */
gboolean app_drop (GtkWidget *window, double x, double y, const char *const *paths, guint n);
/* Files are held over that place. */
void app_drag_over (GtkWidget *window, double x, double y);
/* Where a widget is, for messages of tests; the caller's. */
char *app_widget_place (GtkWidget *widget);
/* Until the list of models has what the library calls so; its entry, borrowed. */
AtlModelEntry *app_wait_for_model (AppFixture *f, const char *name);
/* Whether a model is in use; `f` is the AppFixture. For app_fixture_wait(). */
gboolean app_is_loaded (gpointer f);
/* A question below the last message, and the empty answer that streams. */
void app_begin_turn (AtlConversation *conversation, const char *text);
/* The same, answered and finished. */
void app_exchange (AtlConversation *conversation, const char *question, const char *answer);

/* The file of a tiny model of the golden cases ("llm-mixtral"), unpacked into a folder; the
 * caller's. */
char *app_unpack_golden (const char *folder, const char *family);
/* An adapter for stories260K.gguf under PEFT's names in `folder`, all of whose numbers are `value`
 * or its negative (0: it changes nothing); the caller's. */
char *app_write_adapter (const char *folder, const char *name, float value);
/* Puts a file into the library, as a model that was used before; the list of models knows it when
 * it is read again. */
void app_remember_model (AppFixture *f, const char *path, const char *name);

/* --- With a real engine and a model that is loaded --- */

#define APP_QUESTION "Once upon a time"

/* Of the window's chat; borrowed. */
AtlMessageItem *app_last_message (AppFixture *f);
/* Whether nothing is being answered; whether the last answer has a few words. `f` is the
 * AppFixture. For app_fixture_wait(). */
gboolean app_is_idle (gpointer f);
gboolean app_has_words (gpointer f);
/* Sends APP_QUESTION, whose answer ends after so many tokens at most; 0: never. */
void app_ask (AppFixture *f, int n_tokens);
/* An answer that never ends, once its first words are there. */
void app_ask_endlessly (AppFixture *f);
/* Sends the engine a signal; the process that got it. */
GPid app_kill_engine (AppFixture *f, int number);
/* Until another engine than this one is at work. */
void app_wait_for_other_engine (AppFixture *f, GPid before);
