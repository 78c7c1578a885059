/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as the kernel's side keeps them, 16 bytes with IPv4 mapped, in the text that people use. */
#ifndef NODEMEND_PUBLISH_ADDRESS_H
#define NODEMEND_PUBLISH_ADDRESS_H

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

enum { ADDRESS_LEN = INET6_ADDRSTRLEN };

static inline void address_format(char text[ADDRESS_LEN], const uint8_t address[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (memcmp(address, mapped, sizeof(mapped)) == 0)
		(void)inet_ntop(AF_INET, &address[12], text, ADDRESS_LEN); /* never too long for it */
	else
		(void)inet_ntop(AF_INET6, address, text, ADDRESS_LEN);
}

#endif
