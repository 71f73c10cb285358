/* The fields that the files of the window share: window.c lays it out, window-actions.c has
 * what keys and menus do, window-chats.c does what can be done with chats and folders,
 * window-sidebar.c shows and hides the list, window-files.c takes files, window-notices.c tells,
 * window-undo.c brings back. */
#pragma once

#include "app/chat/chat-list.h"
#include "app/chat/chat-page.h"
#include "app/window/window.h"
#include "store/transfer.h"

struct _AtlWindow
{
  AdwApplicationWindow parent_instance;

  AtlSession *session;           /* (nullable) */
  gboolean engine_was_lost;      /* and a person was told so */
  GQueue undo;                   /* of Undo, newest first */
  GtkFileChooserNative *chooser; /* (nullable) */
  AdwToast *trouble;             /* (nullable) weak: why nothing can be saved */

  GtkWidget *toasts;
  GtkWidget *leaflet;
  GtkWidget *main_menu_button;
  GtkWidget *sidebar;
  GtkWidget *content;
  GtkWidget *lists;
  GtkWidget *chat_list;
  GtkWidget *picture_list;
  GtkWidget *strip;
  GtkWidget *pages;
  GtkWidget *title_stack;
  GtkWidget *model_switcher;
  GtkWidget *picture_switcher;
  GtkWidget *back_button;
  GtkWidget *sidebar_button;
  GtkWidget *list_new_button;
  GtkWidget *search_button;
  GtkWidget *new_button;
  GtkWidget *settings_button;
  GtkWidget *chat_menu_button;
  GtkWidget *notice_bar;
  GtkWidget *notice_title;
  GtkWidget *notice_label;
  GtkWidget *notice_button;
  GtkWidget *load_revealer;
  GtkWidget *load_label;
  GtkWidget *load_bar;
  GtkWidget *copy_revealer;
  GtkWidget *copy_label;
  GtkWidget *copy_bar;
  GtkWidget *chat_page;
  GtkWidget *images_page;
  GtkWidget *models_page;
  GtkWidget *drop_revealer;
};

/* Where a sentence can be read now and covers nothing that is written in; borrowed. */
GtkWidget *atl_window_get_toasts (AtlWindow *self);
AtlStore *atl_window_get_store (AtlWindow *self);
void atl_window_open_chat (AtlWindow *self, gint64 chat_id, gint64 message_id);
void atl_window_new_chat (AtlWindow *self, gint64 folder_id);
void atl_window_show_page (AtlWindow *self, const char *name);
/* Whether the page of that name is the one in sight. */
gboolean atl_window_shows_page (AtlWindow *self, const char *name);
/* All that are not in the next two. */
void atl_window_install_actions (GtkWidgetClass *widget_class);
void atl_window_install_chat_actions (GtkWidgetClass *widget_class);
/* However narrow the window is. */
void atl_window_show_sidebar (AtlWindow *self);
void atl_window_install_sidebar_actions (GtkWidgetClass *widget_class);
/* Before the window is laid out `width` px wide: whether the sidebar may be beside the page. */
void atl_window_fold (AtlWindow *self, int width);
/* Its words follow the chat that is open. */
void atl_window_connect_chat_menu (AtlWindow *self);
void atl_window_import (AtlWindow *self);
/* Files of what the chosen picture model lacks: as if they were dropped. */
void atl_window_choose_parts (AtlWindow *self);
void atl_window_import_file (AtlWindow *self, GFile *file);
void atl_window_export_to (AtlWindow *self, gint64 chat_id, AtlExportFormat format, GFile *file);
void atl_window_install_drop (AtlWindow *self);
/* A sentence in the bar above the page, with a button for an action (both nullable). */
void atl_window_show_notice (AtlWindow *self,
                             GtkMessageType type,
                             const char *title,
                             const char *words,
                             const char *button,
                             const char *action);
void atl_window_hide_notice (AtlWindow *self);
void atl_window_bind_notice_callbacks (GtkWidgetClass *widget_class);
void atl_window_connect_notices (AtlWindow *self);
void atl_window_undo_last (AtlWindow *self);
void atl_window_clear_undo (AtlWindow *self);
