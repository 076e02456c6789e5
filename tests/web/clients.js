// Embeds texts through the clients as they come, and prints what they gave as JSON.
import { OpenAIEmbeddings } from "@langchain/openai";
import OpenAI from "openai";

const { url, key, model, texts } = JSON.parse(process.argv[2]);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
const langchain = new OpenAIEmbeddings({ model, apiKey: key, maxRetries: 0, configuration: { baseURL: `${url}/v1` } });

async function status(call) {
  try {
    await call();
    return 200;
  } catch (error) {
    return error.status;
  }
}

const answer = await client.embeddings.create({ model, input: texts });
const plain = await client.embeddings.create({ model, input: texts[0], encoding_format: "float" });
console.log(JSON.stringify({
  openai: answer.data.map((each) => each.embedding),
  usage: answer.usage,
  float: plain.data[0].embedding,
  models: (await client.models.list()).data.map((each) => each.id),
  documents: await langchain.embedDocuments(texts),
  query: await langchain.embedQuery(texts[0]),
  wrong_key: await status(() => new OpenAI({ baseURL: `${url}/v1`, apiKey: "wrong", maxRetries: 0 }).models.list()),
  wrong_model: await status(() => client.embeddings.create({ model: "no-such-model", input: texts })),
  empty: await status(() => client.embeddings.create({ model, input: "" })),
}));
