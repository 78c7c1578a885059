/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How capacity is used up, or is not: series of 17 days at one sample a minute, made by a shape and a seed, the same on every machine. The
 * first two weeks are judged; what comes in the three days behind them is the truth of their end. The shapes are those of logs, caches,
 * dumps, leaks, backups and working days. For tests/unit/test_backtest.c and tests/bench/bench_forecast.c.
 */
#ifndef NODEMEND_TESTS_SHAPES_H
#define NODEMEND_TESTS_SHAPES_H

#include <stdint.h>
#include <math.h>

enum { SHAPE_MINUTES = 17 * 1440, SHAPE_JUDGED = 14 * 1440, SHAPE_COUNT = 22 };

#define DAY 1440.0
#define TURN (2 * 3.14159265358979323846)

struct dice { uint64_t state; };

/* splitmix64 (Vigna): the same series on every machine. */
static uint64_t next(struct dice *dice)
{
	uint64_t z = dice->state += 0x9e3779b97f4a7c15ULL;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static double uniform(struct dice *dice, double low, double high)
{
	return low + (high - low) * ((double)(next(dice) >> 11) * 0x1p-53);
}

static double normal(struct dice *dice)
{
	double u = uniform(dice, 1e-12, 1), v = uniform(dice, 0, 1);
	return sqrt(-2 * log(u)) * cos(TURN * v);
}

/* What one shape draws once, and what it carries from minute to minute. */
struct course {
	struct dice dice;
	double base, rate, size, period, phase, noise, start;
	double level, extra, left, drift, hourly;
};

typedef double step(struct course *c, double t);

/* Noise is of the sampling, so it does not add up. */
static double linear_slow(struct course *c, double t)
{
	return c->base + c->rate * t;
}

static double leak_from_flat(struct course *c, double t)
{
	return c->base + (t > c->start ? (t - c->start) * c->rate : 0);
}

static double sawtooth(struct course *c, double t)
{
	return c->base + c->size * fmod(t + c->phase, c->period) / c->period;
}

static double sawtooth_residue(struct course *c, double t)
{
	return sawtooth(c, t) + c->rate * floor((t + c->phase) / c->period) * c->period;
}

static double rotation_fails(struct course *c, double t)
{
	double stopped = floor((c->start + c->phase) / c->period) * c->period - c->phase; /* the last clean-up that worked */
	return t < c->start ? sawtooth(c, t) : c->base + c->size * (t - stopped) / c->period;
}

static double bursts(struct course *c, double t)
{
	if (c->left <= 0 && uniform(&c->dice, 0, 1) < 1 / c->period) {
		c->left = uniform(&c->dice, 20, 180);
		c->drift = c->size * uniform(&c->dice, 0.3, 1) / c->left;
	}
	if (c->left > 0) {
		c->extra += c->drift;
		c->left--;
	} else {
		c->extra *= 0.7; /* deleted, not quite at once */
	}
	return c->base + c->extra;
}

static double step_up(struct course *c, double t)
{
	return c->base + (t > c->start ? c->size * fmin(1, (t - c->start) / c->period) : 0);
}

static double diurnal(struct course *c, double t)
{
	return c->base + c->size * 0.5 * (1 - cos(TURN * (t + c->phase) / DAY));
}

static double diurnal_trend(struct course *c, double t)
{
	return diurnal(c, t) + c->rate * t;
}

static double exponential(struct course *c, double t)
{
	return c->base + c->size * (exp(t / c->period) - 1);
}

static double saturating(struct course *c, double t)
{
	return c->base + (t > c->start ? c->size * (1 - exp(-(t - c->start) / c->period)) : 0);
}

static double mean_reverting(struct course *c, double t)
{
	c->extra += -c->extra / c->period + c->size * normal(&c->dice);
	return c->base + c->extra;
}

static double weekly(struct course *c, double t)
{
	return c->base + c->size * fmod(t + c->phase, 7 * DAY) / (7 * DAY);
}

static double staircase(struct course *c, double t)
{
	return c->base + c->rate * c->period * floor((t + c->phase) / c->period);
}

/* Byte rates of busy services: a level that lasts hours, with a heavy tail of bursts. */
static double bursty_rate(struct course *c, double t)
{
	if (c->left-- <= 0) {
		c->left = uniform(&c->dice, 60, 600);
		c->drift = exp(0.8 * normal(&c->dice));
	}
	double burst = uniform(&c->dice, 0, 1) < 0.02 ? 15 * exp(normal(&c->dice)) : 0;
	return c->rate * (0.7 * c->drift + burst);
}

static double written(struct course *c, double t)
{
	c->extra += bursty_rate(c, t);
	return c->base + c->extra;
}

static double written_rotated(struct course *c, double t)
{
	c->extra += bursty_rate(c, t);
	if (fmod(t + c->phase, DAY) < 1)
		c->extra *= c->size;
	return c->base + c->extra;
}

static double quadratic(struct course *c, double t)
{
	double since = t > c->start ? t - c->start : 0;
	return c->base + c->rate * since * since;
}

/* A dump that is written each night and gone in the morning. */
static double nightly(struct course *c, double t)
{
	double hour = fmod(t + c->phase, DAY);
	double dump = hour < 120 ? hour / 120 : hour < 300 ? 1 : 0;
	return c->base + c->size * dump;
}

static double working_hours(struct course *c, double t)
{
	double hour = fmod(t + c->phase, DAY);
	if (hour < 600)
		c->extra += c->rate * DAY / 600;
	return c->base + c->extra;
}

static double random_walk(struct course *c, double t)
{
	c->extra += c->size * normal(&c->dice);
	if (c->base + c->extra < 0.02 || c->base + c->extra > 0.96)
		c->extra *= 0.99;
	return c->base + c->extra;
}

/* Ranges that the draws come from: { low, high }. `days`: the rate is such that from the base it is full within so many. */
static const struct shape {
	const char *name;
	step *at;
	double base[2], days[2], size[2], period[2], start[2], noise[2];
} shapes[SHAPE_COUNT] = {
	{ "linear", linear_slow, { .2, .6 }, { 5, 18 }, .noise = { .0002, .003 } },
	{ "fast leak", leak_from_flat, { .2, .7 }, { .15, 1.5 }, .start = { 2 * DAY, 10 * DAY }, .noise = { .0002, .004 } },
	{ "daily sawtooth", sawtooth, { .2, .5 }, .size = { .1, .4 }, .period = { DAY, DAY }, .noise = { .0002, .002 } },
	{ "6 h sawtooth", sawtooth, { .2, .5 }, .size = { .1, .4 }, .period = { 360, 360 }, .noise = { .0002, .002 } },
	{ "sawtooth with residue", sawtooth_residue, { .2, .4 }, { 7, 16 }, .size = { .05, .25 }, .period = { DAY, DAY }, .noise = { .0002, .002 } },
	{ "rotation fails", rotation_fails, { .2, .45 }, .size = { .1, .35 }, .period = { DAY, DAY }, .start = { 3 * DAY, 10 * DAY }, .noise = { .0002, .002 } },
	{ "temporary files", bursts, { .3, .55 }, .size = { .1, .35 }, .period = { 300, 1200 }, .noise = { .0002, .002 } },
	{ "step", step_up, { .2, .5 }, .size = { .1, .4 }, .period = { 1, 60 }, .start = { 2 * DAY, 12 * DAY }, .noise = { .0002, .003 } },
	{ "day and night", diurnal, { .2, .5 }, .size = { .1, .4 }, .noise = { .001, .01 } },
	{ "day and night, rising", diurnal_trend, { .2, .45 }, { 7, 16 }, .size = { .05, .25 }, .noise = { .001, .005 } },
	{ "exponential", exponential, { .2, .5 }, .size = { .005, .03 }, .period = { 1.5 * DAY, 3.5 * DAY }, .noise = { .0002, .003 } },
	{ "cache that fills", saturating, { .1, .3 }, .size = { .3, .6 }, .period = { 300, 2 * DAY }, .start = { 0, 8 * DAY }, .noise = { .0005, .004 } },
	{ "noisy memory", mean_reverting, { .4, .7 }, .size = { .001, .006 }, .period = { 60, 600 }, .noise = { .001, .005 } },
	{ "weekly clean-up", weekly, { .2, .4 }, .size = { .2, .5 }, .noise = { .0002, .003 } },
	{ "staircase", staircase, { .2, .5 }, { 6, 16 }, .period = { 120, 720 }, .noise = { .0002, .002 } },
	{ "written", written, { .2, .5 }, { 4, 14 }, .noise = { .0001, .001 } },
	{ "written, rotated daily", written_rotated, { .2, .4 }, { 3, 6 }, .size = { .1, .7 }, .noise = { .0001, .001 } },
	{ "accelerating", quadratic, { .2, .5 }, .size = { 5, 11 }, .start = { DAY, 4 * DAY }, .noise = { .0002, .003 } },
	{ "nightly dump", nightly, { .2, .5 }, .size = { .1, .4 }, .noise = { .0002, .002 } },
	{ "working hours", working_hours, { .2, .5 }, { 5, 16 }, .noise = { .0002, .002 } },
	{ "random walk", random_walk, { .3, .6 }, .size = { .0005, .003 }, .noise = { .0002, .001 } },
	{ "flat", linear_slow, { .2, .97 }, .noise = { .0002, .004 } },
};

static inline double draw(struct dice *dice, const double range[2])
{
	return uniform(dice, range[0], range[1]);
}

/* Fills `ret` with shares of the capacity; returns how many minutes there are: it ends where it is full. */
static inline uint32_t shape_make(uint32_t index, uint64_t seed, float ret[SHAPE_MINUTES])
{
	const struct shape *shape = &shapes[index];
	struct course c = { .dice = { seed * 0x9e3779b97f4a7c15ULL + index } };
	for (int i = 0; i < 8; i++)
		next(&c.dice);
	c.base = draw(&c.dice, shape->base);
	double days = draw(&c.dice, shape->days);
	c.rate = days > 0 ? (1 - c.base) / (days * DAY) : 0;
	c.size = draw(&c.dice, shape->size);
	c.period = draw(&c.dice, shape->period);
	c.start = draw(&c.dice, shape->start);
	c.noise = draw(&c.dice, shape->noise);
	c.phase = uniform(&c.dice, 0, DAY);
	if (shape->at == quadratic) /* full `size` days after its start */
		c.rate = (1 - c.base) / (c.size * DAY * c.size * DAY);

	for (uint32_t minute = 0; minute < SHAPE_MINUTES; minute++) {
		double clean = shape->at(&c, minute), seen = clean + c.noise * normal(&c.dice);
		ret[minute] = (float)(seen < 0 ? 0 : seen > 1 ? 1 : seen);
		if (clean >= 1)
			return minute + 1;
	}
	return SHAPE_MINUTES;
}

#endif
