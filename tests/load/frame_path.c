// Tells valgrind's callgrind from where to where instructions are counted; does nothing without it.
#include <valgrind/callgrind.h>
void begin(void) {
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
}
void end(const char *name) {
  CALLGRIND_DUMP_STATS_AT(name);
  CALLGRIND_STOP_INSTRUMENTATION;
}
