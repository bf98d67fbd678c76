/* Reports: what every task does, as text. */
#include "report.h"

#include "error.h"
#include "group.h"
#include "runtime.h"

#include <stdio.h>

#define LARGEST_INDENT 60
#define MOST_OPS 8 /* of one wait that are named */

void art_describe_wait(const art_task *task, char *text, size_t size) {
  const asyncrt_wait *wait = &task->wait;
  char what[128];
  size_t used = 0;
  uint32_t named = 0, more = 0, i;

  if (size > 0) text[0] = '\0';
  for (i = 0; i < wait->count; i++) {
    const asyncrt_op *op = &wait->ops[i];

    if (op->type == NULL) continue; /* a place without an arm */
    if (named == MOST_OPS || used >= size) {
      more++;
      continue;
    }
    op->type->describe(op, what, sizeof(what));
    used += (size_t) snprintf(text + used, size - used, "%s%s",
                              named++ > 0 ? ", " : "", what);
  }
  if (more > 0 && used < size)
    snprintf(text + used, size - used, " and %u more", (unsigned) more);
  else if (named == 0)
    snprintf(text, size, "a select without arms");
}

/* The first line of Lua code in a thread's calls, or NULL. */
static const char *line_of(lua_State *thread) {
  const char *site;

  while (thread != NULL) {
    site = art_site_at(thread, 0);
    if (*site != '?') return site;
    thread = art_resumer_of(thread);
  }
  return NULL;
}

static void add_task(lua_State *L, luaL_Buffer *text, art_task *task,
                     int depth) {
  char name[96], what[512];
  const char *line = NULL;
  int indent = 2 + 2 * depth;

  if (indent > LARGEST_INDENT) indent = LARGEST_INDENT;
  while (indent-- > 0) luaL_addchar(text, ' ');
  art_task_describe(L, task, name, sizeof(name));
  luaL_addstring(text, name);
  if (task->state == ART_TASK_WAITING && task->wait.state == ART_WAIT_ARMED) {
    art_describe_wait(task, what, sizeof(what));
    luaL_addstring(text, " waits for ");
    luaL_addstring(text, what);
  } else {
    luaL_addstring(text,
                   task->state == ART_TASK_RUNNING ? " runs" : " is ready");
  }
  if (task == task->rt->current)
    line = line_of(L);
  else if (task->root != NULL)
    line = line_of(task->wait.L);
  if (line != NULL) {
    luaL_addstring(text, " at ");
    luaL_addstring(text, line);
  }
  luaL_addstring(text, " (spawned at ");
  luaL_addstring(text, task->site);
  luaL_addstring(text, ")\n");
}

/* --- The tree, walked without recursion: it may be deeper than any stack ---
 */

static art_task *task_at(art_link *link) {
  return art_container_of(link, art_task, sibling);
}

/* The first task of `group` or of the groups that its opener has beside it. */
static art_task *first_from(art_group *group) {
  while (group != NULL && art_list_empty(&group->tasks))
    group = group->implicit ? group->task->opened : group->outer;
  return group != NULL ? task_at(group->tasks.next) : NULL;
}

static art_task *first_child(art_task *task) {
  return first_from(task->implicit != NULL ? task->implicit : task->opened);
}

static art_task *next_sibling(art_task *task) {
  art_group *group = task->group;

  if (task->sibling.next != &group->tasks) return task_at(task->sibling.next);
  return first_from(group->implicit ? group->task->opened : group->outer);
}

static void add_tree(lua_State *L, luaL_Buffer *text, art_task *root) {
  art_task *task = root, *next;
  int depth = 0;

  for (;;) {
    add_task(L, text, task, depth);
    next = first_child(task);
    if (next != NULL) {
      depth++;
    } else {
      while (next == NULL && task != root) {
        next = next_sibling(task);
        if (next != NULL) break;
        task = task->group->task;
        depth--;
      }
      if (next == NULL) return;
    }
    task = next;
  }
}

void art_push_task_tree(lua_State *L, asyncrt *rt) {
  luaL_Buffer text;
  uint32_t place;

  luaL_checkstack(L, LUA_MINSTACK, NULL);
  luaL_buffinit(L, &text);
  for (place = 1; place <= rt->anchor_count; place++) {
    art_task *root = art_task_at(L, rt, place);

    if (root != NULL && root->group == NULL) add_tree(L, &text, root);
  }
  luaL_pushresult(&text);
}

void art_report_tasks(lua_State *L, asyncrt *rt, const char *headline) {
  art_log("%s", headline);
  art_push_task_tree(L, rt);
  art_log_text(lua_tostring(L, -1));
  lua_pop(L, 1);
}
