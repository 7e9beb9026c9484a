/* Writes lines that a test can predict.
 *
 *   lines count FROM TO SIZE PAUSE_US   "line <number> xxx…", SIZE bytes each; every seventh to stderr
 *   lines noise FROM TO SIZE PAUSE_US   the same, but hard to compress
 *   lines sizes N...                    one line of exactly N bytes for each N, numbered by their letter
 *   lines tail                          "whole", then 20,000 bytes without a newline at the end
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put(int to, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t done = write(to, bytes, length);
        if (done <= 0) exit(1);
        bytes += done;
        length -= (size_t)done;
    }
}

static char *filled(size_t size, char with) {
    char *line = malloc(size + 64);
    if (line == NULL) exit(1);
    memset(line, with, size + 64);
    return line;
}

/* Hexadecimal digits that no compressor halves more than once (xorshift64, Marsaglia 2003). */
static void scramble(char *line, size_t size, unsigned long *state) {
    for (size_t i = 0; i < size; i++) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        line[i] = "0123456789abcdef"[*state & 15];
    }
}

int main(int count, char **words) {
    if (count > 5 && (strcmp(words[1], "count") == 0 || strcmp(words[1], "noise") == 0)) {
        int noise = strcmp(words[1], "noise") == 0;
        unsigned long state = 88172645463325252UL;
        long from = atol(words[2]), to = atol(words[3]), size = atol(words[4]), pause_us = atol(words[5]);
        char *line = filled((size_t)size, 'x');
        for (long i = from; i < to; i++) {
            char head[32];
            if (noise) scramble(line, (size_t)size, &state);
            int length = snprintf(head, sizeof head, "line %08ld ", i);
            memcpy(line, head, (size_t)length);
            line[size] = '\n';
            put(i % 7 == 6 ? 2 : 1, line, (size_t)size + 1);
            if (pause_us > 0) usleep((useconds_t)pause_us);
        }
        return 0;
    }
    if (count > 2 && strcmp(words[1], "sizes") == 0) {
        for (int i = 2; i < count; i++) {
            size_t size = (size_t)atol(words[i]);
            char *line = filled(size, (char)('a' + i - 2));
            line[size] = '\n';
            put(1, line, size + 1);
            free(line);
        }
        return 0;
    }
    if (count > 1 && strcmp(words[1], "tail") == 0) {
        put(1, "whole\n", 6);
        char *line = filled(20000, 'z');
        put(1, line, 20000);
        return 0;
    }
    return 2;
}
