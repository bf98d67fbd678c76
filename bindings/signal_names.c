/* The names of signals. */
#include "signal_names.h"

#include "error.h"

#include <signal.h>
#include <string.h>

static const struct {
  const char *name;
  int number;
} signals[] = {
    {"ABRT", SIGABRT},   {"ALRM", SIGALRM}, {"BUS", SIGBUS},
    {"CHLD", SIGCHLD},   {"CONT", SIGCONT}, {"FPE", SIGFPE},
    {"HUP", SIGHUP},     {"ILL", SIGILL},   {"INT", SIGINT},
    {"IO", SIGIO},       {"KILL", SIGKILL}, {"PIPE", SIGPIPE},
    {"PROF", SIGPROF},   {"PWR", SIGPWR},   {"QUIT", SIGQUIT},
    {"SEGV", SIGSEGV},   {"STOP", SIGSTOP}, {"SYS", SIGSYS},
    {"TERM", SIGTERM},   {"TRAP", SIGTRAP}, {"TSTP", SIGTSTP},
    {"TTIN", SIGTTIN},   {"TTOU", SIGTTOU}, {"URG", SIGURG},
    {"USR1", SIGUSR1},   {"USR2", SIGUSR2}, {"VTALRM", SIGVTALRM},
    {"WINCH", SIGWINCH}, {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ},
};

#define COUNT (sizeof(signals) / sizeof(signals[0]))

int art_check_signal(lua_State *L, int arg) {
  const char *name;
  size_t i;

  if (lua_type(L, arg) == LUA_TNUMBER)
    return (int) art_check_integer(L, arg, 1, SIGRTMAX);
  name = art_check_cstring(L, arg);
  if (strncmp(name, "SIG", 3) == 0) name += 3;
  for (i = 0; i < COUNT; i++)
    if (strcmp(signals[i].name, name) == 0) return signals[i].number;
  art_raise_argument(
      L, arg, lua_pushfstring(L, "unknown signal '%s'", lua_tostring(L, arg)));
}

const char *art_signal_name(int number) {
  size_t i;

  for (i = 0; i < COUNT; i++)
    if (signals[i].number == number) return signals[i].name;
  return NULL;
}
