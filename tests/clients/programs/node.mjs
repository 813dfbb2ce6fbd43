// OpenAI's and Anthropic's packages for Node, and Vercel's AI SDK, with their defaults.
import Anthropic from "@anthropic-ai/sdk";
import { anthropic } from "@ai-sdk/anthropic";
import { openai } from "@ai-sdk/openai";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";

const [name, gpt, claude] = process.argv.slice(2);
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const messages = [{ role: "user", content: "Hello." }];
const got = {};

if (name === "openai") {
  const client = new OpenAI({ maxRetries: 0 });
  const chat = await client.chat.completions.create({ model: gpt, messages });
  got.chat = chat.choices[0].message.content;
  const whole = await client.responses.create({ model: gpt, input: "Hello." });
  got.responses = whole.output_text;
  const fn = { type: "function", name: "weather", parameters: schema, strict: false };
  const stream = client.responses.stream({ model: gpt, input: "The weather?", tools: [fn] });
  const final = await stream.finalResponse();
  got.tool = final.output.filter((item) => item.type === "function_call").map((i) => i.arguments);
} else if (name === "anthropic") {
  const client = new Anthropic({ maxRetries: 0 });
  const asked = { model: claude, max_tokens: 100, messages };
  got.whole = (await client.messages.create(asked)).content[0].text;
  const tools = [{ name: "weather", input_schema: schema }];
  const final = await client.messages.stream({ ...asked, tools }).finalMessage();
  got.tool = final.content.filter((b) => b.type === "tool_use").map((b) => b.input);
  got.count = (await client.messages.countTokens({ model: claude, messages })).input_tokens;
} else {
  for (const [provider, model] of [["openai", openai(gpt)], ["anthropic", anthropic(claude)]]) {
    const cities = [];
    const weather = tool({
      description: "The weather of a city.",
      inputSchema: jsonSchema(schema),
      execute: async ({ city }) => { cities.push(city); return "Sun."; },
    });
    const options = { model, prompt: "What is the weather?", tools: { weather }, maxRetries: 0 };
    const { text } = await generateText({ ...options, stopWhen: stepCountIs(5) });
    const streamed = await streamText({ ...options, stopWhen: stepCountIs(5) }).text;
    got[provider] = { text, streamed, cities };
  }
}
console.log(JSON.stringify(got));
