"use strict";

const api = "/api/v1";
const byId = (id) => document.getElementById(id);
let session = null;

async function call(path, options = {}) {
  const headers = { ...options.headers };
  if (session) headers.Authorization = `Bearer ${session.token}`;
  if (options.json) headers["Content-Type"] = "application/json";
  const body = options.json ? JSON.stringify(options.json) : options.body;
  const response = await fetch(api + path, {
    method: options.method || "GET", headers, body, signal: AbortSignal.timeout(30000),
  });
  if (!response.ok) {
    const told = await response.json().catch(() => ({}));
    throw new Error(told.message || `The server answered ${response.status}.`);
  }
  return response;
}

async function showHealth() {
  const badge = byId("health");
  try {
    const { status } = await (await call("/health/check")).json();
    badge.textContent = `Service: ${status}`;
    badge.className = status === "UP" ? "badge up" : "badge down";
  } catch {
    badge.textContent = "Service: not reached";
    badge.className = "badge down";
  }
}

// Submit a form once at a time, and tell what went wrong beneath it.
function onSubmit(form, action) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [button, problem] = [form.querySelector("button"), form.querySelector(".problem")];
    button.disabled = true;
    problem.hidden = true;
    try {
      await action(form);
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
    button.disabled = false;
  });
}

async function logIn(form) {
  const answer = await (await call("/auth/login", { method: "POST", body: new URLSearchParams(new FormData(form)) })).json();
  session = { token: answer.access_token, user: answer.user.username };
  form.reset();
  const bases = await (await call(`/base/users/${session.user}/knowledge_bases`)).json();
  byId("base").replaceChildren(...bases.map((base) =>
    new Option(`${base.knowledge_base_name} (${base.file_number} files)`, base.knowledge_base_id)));
  byId("who").textContent = session.user;
  byId("entrance").hidden = true;
  byId("desk").hidden = false;
}

async function ask() {
  const choice = byId("base").selectedOptions[0];
  if (!choice) throw new Error("You have no knowledge base yet.");
  const model = (await (await call(`/config/${session.user}/selected`)).json()).select_model_config;
  const conversation = `${session.user}_${crypto.randomUUID ? crypto.randomUUID() : Date.now()}`;
  await call("/chat/conversations", { method: "POST", json: {
    conversation_id: conversation, username: session.user, conversation_name: byId("question").value.slice(0, 200),
    chat_model_config: { ...model, base_used: [{ name: choice.text, baseId: choice.value }] },
  } });
  byId("text").textContent = "";
  byId("sources").replaceChildren();
  byId("answer").hidden = false;
  const response = await call("/sse/chat", { method: "POST", json: {
    conversation_id: conversation, parent_id: "", user_message: byId("question").value, temp_db: "",
  } });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const events = (rest + part.value).split("\n\n");
    rest = events.pop();
    events.forEach((event) => show(JSON.parse(event.replace(/^data: ?/, ""))));
  }
}

function show(event) {
  if (event.type === "text") byId("text").textContent += event.data;
  if (event.type === "file_used") {
    byId("sources").replaceChildren(...event.data.map((file) => {
      const item = document.createElement("li");
      item.textContent = `${file.file_name}, passage ${file.page_number}`;
      return item;
    }));
  }
}

onSubmit(byId("login"), logIn);
onSubmit(byId("ask"), ask);
byId("logout").addEventListener("click", async () => {
  await call("/auth/logout", { method: "POST" }).catch(() => {});
  location.reload();
});
showHealth();
setInterval(showHealth, 10000);
