/* Reports: what every task does, as text. */
#ifndef ART_REPORT_H
#define ART_REPORT_H

#include "asyncrt.h"

struct art_task;

/* Writes what a task waits for: `recv "jobs", sleep until 3.000`. */
void art_describe_wait(const struct art_task *task, char *text, size_t size);

/* Pushes text: one line a task, each below the task that owns it, with its
 * name, what it waits for, where, and where it was spawned. */
void art_push_task_tree(lua_State *L, asyncrt *rt);

/* Says on stderr what every task does. */
void art_report_tasks(lua_State *L, asyncrt *rt, const char *headline);

#endif
