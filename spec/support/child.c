// SPDX-License-Identifier: MIT
// Child processes for the specs (build/libsupport.so, reached by process.lua through FFI): spawn with pipes, read with a deadline, wait
// with a deadline. A child dies with the spec that started it, whatever ends the spec, so nothing is left behind on the machine.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHILD_NULL = -1, CHILD_PIPE = -2, CHILD_INHERIT = -3 };

int64_t child_clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void child_sleep_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

// For a log file that is to be given as stdout or stderr.
int child_log(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

static int end_open(int how, int n, int pipes[2])
{
    if (how == CHILD_PIPE) {
        if (pipe2(pipes, O_CLOEXEC) < 0)
            return -1;
        return n == 0 ? pipes[0] : pipes[1];
    }
    if (how == CHILD_NULL)
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    return how == CHILD_INHERIT ? n : how;
}

static void child_become(char *const argv[], char *const env[], const char *cwd, const int ends[3], pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) // died in between
        _exit(127);
    for (int i = 0; i < 3; i++)
        if (ends[i] == i)
            fcntl(i, F_SETFD, 0);
        else if (dup2(ends[i], i) < 0)
            _exit(127);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    for (int i = 0; env && env[i]; i += 2)
        env[i + 1][0] == '\1' ? unsetenv(env[i]) : setenv(env[i], env[i + 1], 1);
    if (cwd && chdir(cwd) < 0)
        _exit(127);
    execvp(argv[0], argv);
    dprintf(2, "can't run %s: %m\n", argv[0]);
    _exit(127);
}

// env: name, value, name, value, ..., NULL on top of our own (value "\1": unset). stdio: in: CHILD_* or a descriptor for 0, 1, 2;
// out: our end where a pipe was asked for. Returns the pid or -errno.
int child_spawn(char *const argv[], char *const env[], const char *cwd, int stdio[3])
{
    int ends[3], pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
    pid_t parent = getpid();
    for (int i = 0; i < 3; i++)
        if ((ends[i] = end_open(stdio[i], i, pipes[i])) < 0)
            return -errno;
    pid_t pid = fork();
    if (pid == 0)
        child_become(argv, env, cwd, ends, parent);
    int e = errno;
    for (int i = 0; i < 3; i++) {
        if (stdio[i] == CHILD_PIPE || stdio[i] == CHILD_NULL)
            close(ends[i]);
        if (stdio[i] == CHILD_PIPE)
            stdio[i] = pipes[i][i == 0];
    }
    signal(SIGPIPE, SIG_IGN); // writing to a child that has died is an error to report, not our end
    return pid < 0 ? -e : pid;
}

// Bytes read, 0 at the end, -ETIMEDOUT, or another -errno.
int child_read(int fd, char *to, int size, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int64_t deadline = child_clock_ms() + timeout_ms;
    int n;
    do
        n = poll(&p, 1, timeout_ms < 0 ? -1 : (int)(deadline > child_clock_ms() ? deadline - child_clock_ms() : 0));
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n ? -errno : -ETIMEDOUT;
    ssize_t got = read(fd, to, size);
    return got < 0 ? -errno : (int)got;
}

int child_write(int fd, const char *from, int size)
{
    for (int done = 0; done < size;) {
        ssize_t n = write(fd, from + done, size - done);
        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (int)n : 0;
    }
    return 0;
}

// 0..255: exit code; 256 + signal: killed by it; -ETIMEDOUT: still there; -ECHILD: not a child (any more).
int child_wait(int pid, int timeout_ms)
{
    int64_t deadline = child_clock_ms() + timeout_ms;
    for (;;) {
        int status;
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got < 0)
            return -errno;
        if (got == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
        if (child_clock_ms() >= deadline)
            return -ETIMEDOUT;
        child_sleep_ms(2);
    }
}

int child_kill(int pid, int signal)
{
    return kill(pid, signal) < 0 ? -errno : 0;
}

void child_close(int fd)
{
    close(fd);
}
