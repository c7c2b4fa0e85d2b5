/* peak: runs a command and records the most memory that it used (its maximum resident set).
 *
 *   peak FILE COMMAND...	appends a line "KIB NAME" to FILE; exits with the command's status */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc < 3)
		errx(2, "usage: peak FILE COMMAND...");
	pid_t child = fork();
	if (child < 0)
		err(1, "fork");
	if (child == 0) {
		execvp(argv[2], argv + 2);
		err(127, "%s", argv[2]);
	}
	/* So only the command has the streams open, and their other ends see end-of-file when it ends. */
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	int status = 0;
	struct rusage usage;
	if (wait4(child, &status, 0, &usage) != child)
		err(1, "wait");
	FILE *notes = fopen(argv[1], "a");
	const char *slash = strrchr(argv[2], '/');
	if (!notes || fprintf(notes, "%ld %s\n", usage.ru_maxrss, slash ? slash + 1 : argv[2]) < 0 ||
	    fclose(notes) != 0)
		err(1, "%s", argv[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
