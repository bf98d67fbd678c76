/* Waiting, with ops made by hand: of commit and cancel the first one counts,
 * and what was armed is disarmed exactly once, whatever happens. */
#include "check.h"
#include "group.h"
#include "op.h"
#include "runtime.h"

#include <string.h>

#define CELLS 4
#define ABSENT (-1)

/* What an op waits for: a cell that is filled. */
typedef struct cell {
  asyncrt_queue waiters;
  int value; /* ABSENT: empty */
  int attempts, armed, disarmed, finished;
  int spurious; /* completions to take back */
} cell;

static cell cells[CELLS];
static uv_loop_t loop;

static int cell_attempt(asyncrt_op *op, lua_State *L) {
  cell *c = op->object;

  c->attempts++;
  if (c->value == ABSENT) return ASYNCRT_NOT_READY;
  lua_pushinteger(L, c->value);
  c->value = ABSENT;
  return ASYNCRT_DONE(1);
}

static void cell_arm(asyncrt_op *op) {
  cell *c = op->object;

  c->armed++;
  asyncrt_queue_push(&c->waiters, op);
}

static void cell_disarm(asyncrt_op *op) {
  cell *c = op->object;

  c->disarmed++;
  asyncrt_queue_remove(&c->waiters, op);
}

static int cell_finish(asyncrt_op *op, lua_State *L) {
  cell *c = op->object;

  c->finished++;
  if (c->spurious > 0) {
    c->spurious--;
    return ASYNCRT_AGAIN;
  }
  lua_pushinteger(L, (lua_Integer) op->status);
  return 1;
}

static void cell_describe(const asyncrt_op *op, char *text, size_t size) {
  snprintf(text, size, "cell %d", (int) ((cell *) op->object - cells));
}

static const asyncrt_op_type cell_op = {
    "cell", cell_attempt, cell_arm, cell_disarm, cell_finish, cell_describe, 0};
static const asyncrt_op_type last_op = {
    "last",      cell_attempt,  cell_arm,       cell_disarm,
    cell_finish, cell_describe, ASYNCRT_OP_LAST};

/* take(i): waits for cell i. */
static int take(lua_State *L) {
  asyncrt_op *op =
      asyncrt_prepare(L, &cell_op, &cells[luaL_checkinteger(L, 1)]);

  return asyncrt_perform(L, op);
}

static int insist_done(lua_State *L, int results) {
  lua_pushliteral(L, "insisted");
  return results + 1;
}

/* insist(i): the same, in a wait that no cancellation ends. */
static int insist(lua_State *L) {
  asyncrt_op *op =
      art_prepare_uncancellable(L, &cell_op, &cells[luaL_checkinteger(L, 1)]);

  return art_perform_then(L, op, insist_done);
}

static int any_done(lua_State *L, int results) {
  lua_pushinteger(L, art_task_of(L)->wait.chosen);
  return results + 1;
}

/* take_any(i, j, ...) -> value, number of the arm; `-i - 1` is an op that is
 * taken last. */
static int take_any(lua_State *L) {
  art_task *task = art_check_blocking(L);
  int count = lua_gettop(L), i;
  asyncrt_op *ops = art_ops_take(L, task, (uint32_t) count);

  for (i = 0; i < count; i++) {
    lua_Integer index = lua_tointeger(L, i + 1);

    ops[i].type = index < 0 ? &last_op : &cell_op;
    ops[i].object = &cells[index < 0 ? -index - 1 : index];
  }
  return art_perform_any(L, task, any_done);
}

/* fill(i, value): completes the first waiter, or keeps the value. */
static int fill(lua_State *L) {
  cell *c = &cells[luaL_checkinteger(L, 1)];
  int value = (int) luaL_checkinteger(L, 2);
  asyncrt_op *op = c->waiters.first;

  if (op != NULL) {
    op->status = (uint32_t) value;
    asyncrt_op_complete(op);
  } else {
    c->value = value;
  }
  return 0;
}

static int spurious(lua_State *L) {
  cells[luaL_checkinteger(L, 1)].spurious = (int) luaL_checkinteger(L, 2);
  return 0;
}

/* spawn(f) -> number of the task */
static art_task *tasks[64];
static int spawn(lua_State *L) {
  int number = (int) luaL_checkinteger(L, 1);

  lua_settop(L, 2);
  tasks[number] =
      art_task_new(L, art_group_current(L, art_task_of(L)), 2, 0, false);
  return 0;
}

static int cancel(lua_State *L) {
  art_scope_cancel(&tasks[luaL_checkinteger(L, 1)]->base, "test");
  return 0;
}

static int pass_done(lua_State *L, int results) {
  (void) L;
  (void) results;
  return 0;
}

static int pass(lua_State *L) {
  return art_reschedule(L, art_check_blocking(L), pass_done);
}

static int is_cancelled(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, art_is_cancelled(L, 1));
  return 1;
}

static const luaL_Reg functions[] = {
    {"take", take},
    {"insist", insist},
    {"take_any", take_any},
    {"fill", fill},
    {"spawn", spawn},
    {"cancel", cancel},
    {"pass", pass},
    {"spurious", spurious},
    {"is_cancelled", is_cancelled},
    {"pcall_all", art_pcall_all},
    {NULL, NULL},
};

static void reset_cells(void) {
  int i;

  memset(cells, 0, sizeof(cells));
  for (i = 0; i < CELLS; i++) cells[i].value = ABSENT;
}

static void check_disarmed(void) {
  int i;

  for (i = 0; i < CELLS; i++) {
    CHECK(cells[i].waiters.first == NULL && cells[i].waiters.last == NULL);
    CHECK(cells[i].armed == cells[i].disarmed);
  }
}

/* Runs `text` with the functions above; its assertions are the test. */
static void run(uint64_t seed, const char *text) {
  asyncrt_options options = {.virtual_time = true, .seed = seed};
  asyncrt *rt;
  const luaL_Reg *f;

  reset_cells();
  CHECK(uv_loop_init(&loop) == 0);
  rt = asyncrt_new(&loop, &options);
  CHECK(rt != NULL);
  for (f = functions; f->name != NULL; f++)
    lua_register(asyncrt_state(rt), f->name, f->func);
  if (luaL_loadstring(asyncrt_state(rt), text) != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(asyncrt_state(rt), -1));
    exit(EXIT_FAILURE);
  }
  CHECK(asyncrt_run(rt, 0) == ASYNCRT_EXIT_OK);
  CHECK(rt->external == 0 && rt->timers.count == 0);
  check_disarmed();
  asyncrt_free(rt);
  CHECK(uv_loop_close(&loop) == 0);
}

static void test_direct(void) {
  run(1, "fill(0, 7) assert(take(0) == 7)"
         "spawn(1, function() pass() fill(0, 8) end)"
         "assert(take(0) == 8)");
  CHECK(cells[0].attempts == 2 && cells[0].armed == 1);
}

static void test_spurious_completion_waits_again(void) {
  run(1, "spurious(0, 3)"
         "spawn(1, function() for i = 1, 4 do pass() fill(0, i) end end)"
         "assert(take(0) == 4)");
  CHECK(cells[0].armed == 4 && cells[0].finished == 4);
}

static void test_a_spurious_completion_then_a_cancel(void) {
  run(1, "spurious(0, 1)"
         "local got spawn(1, function() local ok, e = pcall_all(take, 0)"
         "  got = ok == false and is_cancelled(e) error(e, 0) end)"
         "pass() fill(0, 1) cancel(1) pass() pass() assert(got)");
}

static void test_first_of_commit_and_cancel(void) {
  /* Commit first: the value arrives, the cancel comes at the next point. */
  run(1, "local got, ok, e "
         "spawn(1, function() got = take(0) ok, e = pcall_all(take, 1) end)"
         "pass() fill(0, 5) cancel(1) pass() pass()"
         "assert(got == 5 and ok == false and is_cancelled(e))");
  /* Cancel first: nothing is consumed. */
  run(1, "local ok, e spawn(1, function() ok, e = pcall_all(take, 0) end)"
         "pass() cancel(1) fill(0, 5) pass()"
         "assert(ok == false and is_cancelled(e)) assert(take(0) == 5)");
  /* A cancelled task attempts nothing. */
  run(1, "local ok, e spawn(1, function() ok, e = pcall_all(take, 0) end)"
         "cancel(1) fill(0, 5) pass() pass()"
         "assert(ok == false and is_cancelled(e)) assert(take(0) == 5)");
  CHECK(cells[0].attempts == 1);
}

static void test_a_cancelled_task_cannot_spin(void) {
  run(1, "local turns, n = 0, 0 "
         "spawn(1, function() while n < 10 do n = n + 1 pcall_all(take, 0) end"
         "  end)"
         "cancel(1) repeat turns = turns + 1 pass() until n == 10 "
         "assert(turns >= 10, turns)");
}

static void test_insisting(void) {
  run(1, "local value, how, ok, e spawn(1, function()"
         "  value, how = insist(0) ok, e = pcall_all(take, 1) end)"
         "pass() cancel(1) pass() assert(value == nil) fill(0, 3)"
         "pass() pass() pass()"
         "assert(value == 3 and how == 'insisted')"
         "assert(ok == false and is_cancelled(e))");
  /* The next wait can be cancelled again. */
  run(1, "local ok, e spawn(1, function() fill(0, 1) insist(0)"
         "  ok, e = pcall_all(take, 1) end)"
         "pass() cancel(1) pass() assert(ok == false and is_cancelled(e))");
}

static void test_several(void) {
  run(1, "spawn(1, function() pass() fill(1, 9) end)"
         "local v, i = take_any(0, 1, 2) assert(v == 9 and i == 1)"
         "fill(2, 4) v, i = take_any(0, 1, 2) assert(v == 4 and i == 2)");
  CHECK(cells[0].armed == 1 && cells[1].armed == 1 && cells[2].armed == 1);
  /* Two arms on one cell. */
  run(1, "spawn(1, function() pass() fill(0, 9) end)"
         "local v = take_any(0, 0, 0) assert(v == 9)");
  CHECK(cells[0].armed == 3);
  /* One arm, many arms. */
  run(1, "spawn(1, function() for i = 1, 3 do pass() fill(3, i) end end)"
         "local v, i = take_any(3) assert(v == 1 and i == 0)"
         "local many = {} for n = 1, 300 do many[n] = n % 3 end many[301] = 3 "
         "v, i = take_any(table.unpack(many)) assert(v == 2 and i == 300)"
         "assert(take(3) == 3)");
}

static void test_the_last_ones_are_taken_last(void) {
  uint64_t seed;

  for (seed = 1; seed <= 50; seed++)
    run(seed, "fill(0, 1) fill(1, 2)"
              "local v, i = take_any(-1, 1, 2, 3) assert(v == 2 and i == 1)"
              "v, i = take_any(-1, 2, 3) assert(v == 1 and i == 0)");
}

static void test_the_choice_is_uniform(void) {
  run(3,
      "local counts = {0, 0, 0} for _ = 1, 3000 do"
      "  fill(0, 1) fill(1, 1) fill(2, 1)"
      "  local _, i = take_any(0, 1, 2, 3) counts[i + 1] = counts[i + 1] + 1"
      "  for c = 0, 2 do if c ~= i then take(c) end end "
      "end for _, n in ipairs(counts) do assert(n > 880 and n < 1120, n) end");
}

/* Every order of up to three of {fill 0, fill 1, cancel} on one wait for two
 * cells, with and without a turn of the task between them. */
static void test_every_interleaving(void) {
  run(1,
      "local acts = {"
      "  function() fill(0, 10) end, function() fill(1, 11) end,"
      "  function(n) cancel(n) end, pass, function() end }\n"
      "for code = 0, 5 ^ 4 - 1 do\n"
      "  local value, arm, ok, ended\n"
      "  spawn(1, function()"
      "    ok, value, arm = pcall_all(take_any, 0, 1) ended = true end)\n"
      "  pass()\n"
      "  local first, c = nil, code\n"
      "  for _ = 1, 4 do\n"
      "    local act = c % 5 + 1  c = c // 5\n"
      "    if act <= 3 then first = first or act end\n"
      "    if not (act == 3 and ended) then acts[act](1) end\n"
      "  end\n"
      "  if not first then fill(0, 10) first = 1 end\n"
      "  while not ended do pass() end\n"
      "  pass()\n"
      "  if first == 3 then assert(ok == false and is_cancelled(value), code)\n"
      "  else assert(ok and value == 9 + first and arm == first - 1, code) "
      "end\n"
      "  for i = 0, 1 do fill(i, 0) take(i) end\n"
      "end");
}

int main(void) {
  test_direct();
  test_spurious_completion_waits_again();
  test_a_spurious_completion_then_a_cancel();
  test_first_of_commit_and_cancel();
  test_a_cancelled_task_cannot_spin();
  test_insisting();
  test_several();
  test_the_last_ones_are_taken_last();
  test_the_choice_is_uniform();
  test_every_interleaving();
  return EXIT_SUCCESS;
}
