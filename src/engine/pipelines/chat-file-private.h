/* The head of a chat's file, shared by chat-file.c and the tests that forge one. */
#pragma once

#include "engine/pipelines/chat-file.h"

G_BEGIN_DECLS

#define ATL_CHAT_FILE_MAGIC G_GUINT64_CONSTANT (0x0a746168632d6c74) /* "tl-chat\n" */
/* Raised whenever the same bytes mean something else: the layout of the file or of a state, the
 * order of the data, the arithmetic that makes it. */
#define ATL_CHAT_FILE_VERSION 1u

typedef struct
{
  guint64 magic;
  guint32 version;
  guint32 head_bytes;
  guint8 identity[ATL_CHAT_IDENTITY_BYTES];
  AtlLlmCacheImage image;
  guint64 data_bytes;
  guint64 data_sum;
  guint64 head_sum; /* of the head with 0 here, and of the ids */
} AtlChatFileHead;

/* What head_sum should be. */
guint64 atl_chat_file_head_sum (const AtlChatFileHead *head, const GArray *ids);

G_END_DECLS
