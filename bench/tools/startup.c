/* startup: runs a command again and again, and prints how long each run took.
 *
 *   startup RUNS COMMAND [ARGUMENT...]
 *
 * One line a run: milliseconds from before the start to after the end, and
 * milliseconds of CPU. The command's output is thrown away. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double now_ms(void) {
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec * 1e3 + (double) t.tv_nsec / 1e6;
}

static double ms(struct timeval t) {
  return (double) t.tv_sec * 1e3 + (double) t.tv_usec / 1e3;
}

int main(int argc, char **argv) {
  posix_spawn_file_actions_t actions;
  int runs = argc > 2 ? atoi(argv[1]) : 0;

  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  for (int i = 0; i < runs; i++) {
    struct rusage usage;
    double start = now_ms();
    int status;
    pid_t pid;

    if (posix_spawnp(&pid, argv[2], &actions, NULL, argv + 2, environ) != 0 ||
        wait4(pid, &status, 0, &usage) < 0 || status != 0) {
      fprintf(stderr, "startup: %s failed\n", argv[2]);
      return 1;
    }
    printf("%.3f %.3f\n", now_ms() - start,
           ms(usage.ru_utime) + ms(usage.ru_stime));
  }
  posix_spawn_file_actions_destroy(&actions);
  return 0;
}
