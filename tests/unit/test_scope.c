/* The scope tree, against its definition: a scope is effectively cancelled when
 * it is cancelled, or when its parent is and it is no shield. */
#include "check.h"
#include "scope.h"

#include <string.h>
#include <sys/resource.h>

#define DEPTH 100000
#define SCOPES 400
#define TREES 2000

static uint64_t state = 88172645463325252u;

static unsigned draw(unsigned bound) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (unsigned) (state % bound);
}

static bool is_effective(const art_scope *scope) {
  if (scope == NULL) return false;
  if (scope->cancelled) return true;
  return scope->kind != ART_SCOPE_SHIELD && is_effective(scope->parent);
}

static void test_random_trees(void) {
  static art_scope scopes[SCOPES];
  static const art_scope_kind kinds[] = {ART_SCOPE_CHILDREN, ART_SCOPE_TIMEOUT,
                                         ART_SCOPE_SHIELD, ART_SCOPE_BODY};
  int tree, i, step;

  for (tree = 0; tree < TREES; tree++) {
    int count = 2 + (int) draw(tree % 10 == 0 ? SCOPES - 2 : SCOPES / 10);

    for (i = 0; i < count; i++) {
      art_scope *parent = i == 0 ? NULL : &scopes[draw((unsigned) i)];

      art_scope_open(&scopes[i], parent,
                     i == 0 ? ART_SCOPE_CHILDREN : kinds[draw(4)], NULL);
      CHECK(scopes[i].effective == is_effective(&scopes[i]));
      if (draw(20) == 0) art_scope_cancel(&scopes[i], "early");
    }
    for (step = 0; step < 5; step++) {
      art_scope *scope = &scopes[draw((unsigned) count)];

      art_scope_cancel(scope, "late");
      for (i = 0; i < count; i++) {
        CHECK(scopes[i].effective == is_effective(&scopes[i]));
        CHECK(scopes[i].effective == (art_scope_reason(&scopes[i]) != NULL));
        CHECK(art_scope_absorbs(&scopes[i]) ==
              (scopes[i].cancelled && (scopes[i].kind == ART_SCOPE_SHIELD ||
                                       !is_effective(scopes[i].parent))));
      }
    }
    /* Leaves first: what is closed leaves its siblings linked. */
    for (i = count - 1; i >= 0; i--) {
      CHECK(scopes[i].child == NULL);
      art_scope_close(&scopes[i]);
    }
  }
}

static void test_the_first_reason_stays(void) {
  art_scope outer, shield, inner;

  art_scope_open(&outer, NULL, ART_SCOPE_CHILDREN, NULL);
  art_scope_open(&shield, &outer, ART_SCOPE_SHIELD, NULL);
  art_scope_open(&inner, &shield, ART_SCOPE_TIMEOUT, NULL);
  art_scope_cancel(&outer, "first");
  art_scope_cancel(&outer, "second");
  CHECK(strcmp(art_scope_reason(&outer), "first") == 0);
  CHECK(art_scope_reason(&shield) == NULL && !inner.effective);
  art_scope_cancel(&inner, "inner");
  CHECK(strcmp(art_scope_reason(&inner), "inner") == 0);
  art_scope_cancel(&shield, "shield");
  CHECK(strcmp(art_scope_reason(&inner), "shield") == 0);
  CHECK(!art_scope_absorbs(&inner) && art_scope_absorbs(&shield));
}

static void test_siblings_close_in_any_order(void) {
  art_scope parent, children[8];
  int order, i;

  for (order = 0; order < 1000; order++) {
    bool closed[8] = {false};

    art_scope_open(&parent, NULL, ART_SCOPE_CHILDREN, NULL);
    for (i = 0; i < 8; i++)
      art_scope_open(&children[i], &parent, ART_SCOPE_TIMEOUT, NULL);
    for (i = 0; i < 4; i++) {
      unsigned index = draw(8);

      if (!closed[index]) art_scope_close(&children[index]);
      closed[index] = true;
    }
    art_scope_cancel(&parent, "test");
    for (i = 0; i < 8; i++) CHECK(children[i].effective == !closed[i]);
  }
}

/* A chain deeper than the C stack could hold frames for. */
static void test_a_deep_chain_is_cancelled_without_recursion(void) {
  art_scope *chain = calloc(DEPTH, sizeof(*chain));
  struct rlimit limit, small;
  int i;

  CHECK(chain != NULL);
  CHECK(getrlimit(RLIMIT_STACK, &limit) == 0);
  small = limit;
  small.rlim_cur = 256 * 1024;
  CHECK(setrlimit(RLIMIT_STACK, &small) == 0);
  for (i = 0; i < DEPTH; i++)
    art_scope_open(&chain[i], i > 0 ? &chain[i - 1] : NULL, ART_SCOPE_CHILDREN,
                   NULL);
  art_scope_cancel(&chain[0], "deep");
  for (i = 0; i < DEPTH; i++) CHECK(chain[i].effective);
  CHECK(strcmp(art_scope_reason(&chain[DEPTH - 1]), "deep") == 0);
  for (i = DEPTH - 1; i >= 0; i--) art_scope_close(&chain[i]);
  CHECK(setrlimit(RLIMIT_STACK, &limit) == 0);
  free(chain);
}

static void test_many_siblings(void) {
  art_scope parent, *children = calloc(DEPTH, sizeof(*children));
  int i;

  CHECK(children != NULL);
  art_scope_open(&parent, NULL, ART_SCOPE_CHILDREN, NULL);
  for (i = 0; i < DEPTH; i++)
    art_scope_open(&children[i], &parent,
                   i % 3 == 0 ? ART_SCOPE_SHIELD : ART_SCOPE_CHILDREN, NULL);
  art_scope_cancel(&parent, "wide");
  for (i = 0; i < DEPTH; i++) CHECK(children[i].effective == (i % 3 != 0));
  free(children);
}

int main(void) {
  test_random_trees();
  test_the_first_reason_stays();
  test_siblings_close_in_any_order();
  test_a_deep_chain_is_cancelled_without_recursion();
  test_many_siblings();
  return EXIT_SUCCESS;
}
