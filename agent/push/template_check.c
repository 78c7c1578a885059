/* SPDX-License-Identifier: Apache-2.0 */
/* See template_check.h. */
#include "push/template_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "push/template.h"

/* At most one byte more than a template may have. 0 or -errno. */
static int read_file(const char *path, char text[TEMPLATE_MAX_SIZE + 1], size_t *ret_size)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* not blocking: it may be a FIFO */
	if (fd < 0)
		return -errno;
	int error = fstat(fd, &status) < 0 ? -errno : S_ISREG(status.st_mode) ? 0 : -EINVAL;
	size_t used = 0;
	while (!error && used < TEMPLATE_MAX_SIZE + 1) {
		ssize_t got = read(fd, text + used, TEMPLATE_MAX_SIZE + 1 - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			error = -errno;
		if (got <= 0)
			break;
		used += (size_t)got;
	}
	close(fd);
	*ret_size = used;
	return error;
}

static int check_one(const struct output *output, char *text, struct config_faults *faults)
{
	enum template_form form = output->kind == OUTPUT_MAIL ? TEMPLATE_TEXT : TEMPLATE_JSON;
	struct template template = { 0 };
	size_t size = 0;
	int error = read_file(output->template_file, text, &size);
	if (error < 0) {
		config_fault(faults, output->template_file, 0, 0, "the template of output %s cannot be read: %s", output->name, strerror(-error));
		return -EINVAL;
	}
	error = template_read(form, output->template_file, text, size, &template, faults);
	template_free(&template);
	return error;
}

int templates_check(const struct outputs *outputs, struct config_faults *faults)
{
	char *text = malloc(TEMPLATE_MAX_SIZE + 1);
	int result = text ? 0 : -ENOMEM;
	for (uint32_t i = 0; text && i < outputs->output_count; i++)
		if (outputs->each[i].template_file[0] && check_one(&outputs->each[i], text, faults) < 0)
			result = -EINVAL;
	free(text);
	return result;
}
