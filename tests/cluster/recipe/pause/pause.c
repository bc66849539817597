/* Waits, and reaps orphans. Two uses: the process that holds a pod's namespaces open, and the first process of the test cluster's own
 * process namespace, whose end ends every other process in it. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void reap(int signal_number) {
	(void)signal_number;
	while (waitpid(-1, 0, WNOHANG) > 0)
		;
}

static void leave(int signal_number) {
	(void)signal_number;
	_exit(0);
}

int main(void) {
	signal(SIGCHLD, reap);
	signal(SIGTERM, leave);
	signal(SIGINT, leave);
	for (;;)
		pause();
}
