// SPDX-License-Identifier: Apache-2.0
// An OTLP/HTTP receiver on OpenTelemetry's own decoders (the generated ones of @opentelemetry/otlp-transformer):
//   node receiver.js FILE [PORT]     says `listening PORT`; each request that it takes becomes a line of JSON in FILE
// It is stricter than the protocol: what its decoders do not know, an id of the wrong length, a histogram whose counts do not add up
// or a time that is missing makes the request a bad one, 400. POST /plan {"logs": [{"status": 503, "retry_after": "1"}, {"rejected": 2}]}
// says how the next requests of a signal are answered.
'use strict';

const fs = require('fs');
const http = require('http');
const zlib = require('zlib');
const { opentelemetry } = require('@opentelemetry/otlp-transformer/build/src/generated/root');

const collector = opentelemetry.proto.collector;
const signals = {
  metrics: {
    request: collector.metrics.v1.ExportMetricsServiceRequest,
    response: collector.metrics.v1.ExportMetricsServiceResponse,
    rejected: 'rejectedDataPoints',
    check: checkMetrics,
  },
  logs: {
    request: collector.logs.v1.ExportLogsServiceRequest,
    response: collector.logs.v1.ExportLogsServiceResponse,
    rejected: 'rejectedLogRecords',
    check: checkLogs,
  },
  traces: {
    request: collector.trace.v1.ExportTraceServiceRequest,
    response: collector.trace.v1.ExportTraceServiceResponse,
    rejected: 'rejectedSpans',
    check: checkTraces,
  },
};
const plan = { metrics: [], logs: [], traces: [] };
const out = fs.openSync(process.argv[2], 'a');

function need(condition, what) {
  if (!condition) throw new Error(what);
}

function checkResource(items) {
  need(items.resource && items.resource.attributes.some((a) => a.key === 'service.name'), 'a resource without service.name');
}

function checkHistogram(point) {
  const zero = BigInt(point.zeroCount || 0);
  const sum = ((point.positive && point.positive.bucketCounts) || []).reduce((total, count) => total + BigInt(count), zero);
  need(sum === BigInt(point.count || 0), `a histogram of ${point.count} whose buckets hold ${sum}`);
}

function checkMetrics(request) {
  for (const items of request.resourceMetrics) {
    checkResource(items);
    for (const metric of items.scopeMetrics.flatMap((scope) => scope.metrics)) {
      need(metric.name, 'a metric without a name');
      const data = metric.gauge || metric.sum || metric.exponentialHistogram;
      need(data && data.dataPoints.length, `${metric.name} without data`);
      need(metric.gauge || data.aggregationTemporality === 2, `${metric.name} is not cumulative`);
      for (const point of data.dataPoints) {
        need(point.timeUnixNano > 0, `${metric.name} without a time`);
        need(metric.gauge || point.startTimeUnixNano > 0, `${metric.name} without a start`);
        if (metric.exponentialHistogram) checkHistogram(point);
      }
    }
  }
}

function checkLogs(request) {
  for (const items of request.resourceLogs) {
    checkResource(items);
    for (const record of items.scopeLogs.flatMap((scope) => scope.logRecords)) {
      need(record.timeUnixNano > 0 && record.observedTimeUnixNano > 0, 'a record without its times');
      need(record.body && record.body.stringValue && record.eventName && record.severityNumber, 'a record without body, event or severity');
      need(!record.traceId || (record.traceId.length === 16 && record.spanId.length === 8), 'ids of the wrong length');
    }
  }
}

function checkTraces(request) {
  for (const items of request.resourceSpans) {
    checkResource(items);
    for (const span of items.scopeSpans.flatMap((scope) => scope.spans)) {
      need(span.traceId.length === 16 && span.spanId.length === 8, 'ids of the wrong length');
      need(!span.parentSpanId || span.parentSpanId.length === 8, 'a parent of the wrong length');
      need(span.name && span.kind === 1, 'a span without name or kind');
      need(span.startTimeUnixNano > 0 && BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano), 'a span that ends before it starts');
    }
  }
}

function hexadecimal(key, value) {
  const ids = ['traceId', 'spanId', 'parentSpanId'];
  return ids.includes(key) && typeof value === 'string' ? Buffer.from(value, 'base64').toString('hex') : value;
}

function answer(response, signal, next) {
  if (next.status) {
    response.writeHead(next.status, next.retry_after ? { 'Retry-After': next.retry_after } : {});
    response.end();
    return;
  }
  const partialSuccess = next.rejected ? { [signal.rejected]: next.rejected, errorMessage: 'as planned' } : undefined;
  response.writeHead(200, { 'Content-Type': 'application/x-protobuf' });
  response.end(signal.response.encode(signal.response.create({ partialSuccess })).finish());
}

function take(name, request, raw, response) {
  const signal = signals[name];
  need(request.headers['content-type'] === 'application/x-protobuf', `content type ${request.headers['content-type']}`);
  need(request.headers['content-encoding'] === 'gzip', `content encoding ${request.headers['content-encoding']}`);
  const next = plan[name].shift() || {};
  const plain = zlib.gunzipSync(raw);
  const message = signal.request.decode(plain);
  need(signal.request.encode(message).finish().length === plain.length, 'fields that no decoder knows');
  const object = signal.request.toObject(message, { longs: String });
  signal.check(object);
  if (!next.status) {
    const shown = JSON.parse(JSON.stringify(signal.request.toObject(message, { longs: String, bytes: String }), hexadecimal));
    const line = { signal: name, path: request.url, headers: request.headers, size: plain.length, raw: raw.toString('base64'), request: shown };
    fs.writeSync(out, JSON.stringify(line) + '\n');
  }
  answer(response, signal, next);
}

const server = http.createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const raw = Buffer.concat(parts);
    const name = request.url.split('/').pop();
    try {
      if (request.url === '/plan') {
        Object.assign(plan, JSON.parse(raw));
        response.end();
      } else if (request.method === 'POST' && signals[name]) {
        take(name, request, raw, response);
      } else {
        response.writeHead(404).end();
      }
    } catch (error) {
      fs.writeSync(out, JSON.stringify({ bad: String(error), path: request.url }) + '\n');
      response.writeHead(400, { 'Content-Type': 'text/plain' });
      response.end(String(error));
    }
  });
});
server.listen(Number(process.argv[3] || 0), '127.0.0.1', () => console.log(`listening ${server.address().port}`));
