/* SPDX-License-Identifier: Apache-2.0 */
/*
 * containerd, as kubelet speaks to it (CRI), for the images of a node of Kubernetes; and its own interface for when an image came, which CRI does not
 * say. Its containers are kubelet's: they are listed, and nothing is done to them.
 */
#ifndef NODEMEND_REMEDIES_ENGINE_CONTAINERD_H
#define NODEMEND_REMEDIES_ENGINE_CONTAINERD_H

#include "remedies/engine.h"

/* What engine.h's functions of those names do for this kind. */
int containerd_version(struct engine *engine);
int containerd_info(struct engine *engine);
int containerd_list_images(struct engine *engine, struct engine_images *ret);
int containerd_list_containers(struct engine *engine, struct engine_containers *ret);
int containerd_look_image(struct engine *engine, const char *image_id);
int containerd_remove_image(struct engine *engine, const char *image_id);

/* The readers, for tests. */
int containerd_read_images(const void *bytes, size_t size, struct engine_images *ret);
void containerd_read_arrivals(const void *bytes, size_t size, struct engine_images *images);
int containerd_read_containers(const void *bytes, size_t size, struct engine_containers *ret);

#endif
