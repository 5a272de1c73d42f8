// The openai package of npm, as its users use it.

import assert from 'node:assert/strict';
import test from 'node:test';

import OpenAI from 'openai';

const client = new OpenAI({ maxRetries: 0, timeout: 120_000 });
const model = 'guide';
const messages = [{ role: 'user', content: 'How do I start?' }];

test('a question is answered', async () => {
  const answer = await client.chat.completions.create({ model, messages, temperature: 0, max_tokens: 40 });
  assert.ok(answer.choices[0].message.content);
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
});

test('a stream says the same as the whole', async () => {
  const request = { model, messages, temperature: 1, seed: 5, max_tokens: 30 };
  const whole = await client.chat.completions.create(request);
  let text = '';
  let usage;
  const stream = await client.chat.completions.create({
    ...request,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? '';
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
});

test('models and embeddings', async () => {
  const names = [];
  for await (const entry of client.models.list()) names.push(entry.id);
  assert.ok(names.includes(model));
  const answer = await client.embeddings.create({ model, input: 'a lane' });
  assert.ok(answer.data[0].embedding.length > 16);
});

test('errors name the field', async () => {
  await assert.rejects(
    client.chat.completions.create({ model, messages, temperature: -1 }),
    (error) => error instanceof OpenAI.BadRequestError && error.param === 'temperature',
  );
});

test('a stream can be left', async () => {
  const stream = await client.chat.completions.create({ model, messages, max_tokens: 400, stream: true });
  for await (const _ of stream) break;
  const answer = await client.chat.completions.create({ model, messages, max_tokens: 3 });
  assert.ok(answer.usage.completion_tokens > 0);
});
