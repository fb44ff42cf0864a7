/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs a fuzz target over the files that are named: what CI does with the corpus, where there is no libFuzzer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

static void replay(const char *path)
{
	FILE *file = fopen(path, "rb");
	static uint8_t buffer[1 << 16];
	uint8_t *data;
	size_t size;

	if (!file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(2);
	}
	fprintf(stderr, "%s\n", path); /* the last one printed is the one that fails */
	size = fread(buffer, 1, sizeof(buffer), file);
	fclose(file);
	data = malloc(size + !size);
	if (!data)
		exit(2);
	memcpy(data, buffer, size);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
}

int main(int count, char **paths)
{
	for (int i = 1; i < count; i++)
		replay(paths[i]);
	return 0;
}
