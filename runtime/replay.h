/* Replay: what a run of the same script and seed must repeat. */
#ifndef ART_REPLAY_H
#define ART_REPLAY_H

#include "asyncrt.h"

struct art_task;

/* Makes room for every task in the draw of a random order; UV_ENOMEM without
 * memory. */
int art_ready_reserve(asyncrt *rt);

/* Takes any of the ready tasks, of which there is at least one, by chance. */
struct art_task *art_ready_draw(asyncrt *rt);

/* Adds a step that is about to run, or the arm that a running task's select
 * found ready, to the hash of the run. */
void art_replay_step(asyncrt *rt, const struct art_task *task);
void art_replay_arm(asyncrt *rt, const asyncrt_op *op, uint32_t chosen);

#endif
