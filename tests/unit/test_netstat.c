/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/net/netstat: pairs of lines, names and values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "collect/procfs.h"

static int parse(const char *text, struct tcp_section *ret)
{
	memset(ret, 0, sizeof(*ret));
	return netstat_parse(text, strlen(text), ret);
}

static void the_two_are_found_by_name(void **state)
{
	static struct tcp_section section;

	(void)state;
	assert_int_equal(parse("IpExt: InNoRoutes\nIpExt: 9\nTcpExt: TW ListenOverflows ListenDrops\nTcpExt: 1 20 300\n", &section), 0);
	assert_int_equal(section.listen_overflows, 20);
	assert_int_equal(section.listen_drops, 300);
}

static void what_is_not_there_is_unknown(void **state)
{
	static struct tcp_section section;

	(void)state;
	assert_int_equal(parse("TcpExt: TW ListenDrops\nTcpExt: 1 300\n", &section), 0);
	assert_true(section.listen_overflows == UNKNOWN);
	assert_int_equal(section.listen_drops, 300);
	assert_int_equal(parse("TcpExt: TW ListenOverflows\nTcpExt: 1\n", &section), 0); /* a name without a value */
	assert_true(section.listen_overflows == UNKNOWN);
	assert_int_equal(parse("TcpExt: ListenOverflows\nTcpExt: -1\n", &section), 0);
	assert_true(section.listen_overflows == UNKNOWN);
}

static void nonsense_is_refused(void **state)
{
	static const char *const texts[] = { "IpExt: A\nIpExt: 1\n", "TcpExt: ListenDrops\nIpExt: 1\n", "TcpExt: ListenDrops\n", "TcpExt: A\nTcpExt: 1" };
	static struct tcp_section section;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_true(parse(texts[i], &section) < 0);
		assert_true(section.listen_overflows == UNKNOWN && section.listen_drops == UNKNOWN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_two_are_found_by_name),
		cmocka_unit_test(what_is_not_there_is_unknown),
		cmocka_unit_test(nonsense_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
