#include "simulator/stream/graph.h"

#include <algorithm>
#include <unordered_map>

namespace sim {
namespace {

std::unordered_set<const void*>& live_nodes() {
  static auto* const all = new std::unordered_set<const void*>;
  return *all;
}

std::unordered_set<const void*>& live_graphs() {
  static auto* const all = new std::unordered_set<const void*>;
  return *all;
}

std::vector<ExecNode> build(const Graph& graph) {
  const std::vector<Node*> order = in_order(graph);
  check(order.size() == graph.nodes.size(), cudaErrorInvalidValue);
  std::unordered_map<const Node*, size_t> index;
  std::vector<ExecNode> nodes;
  for (const Node* node : order) {
    ExecNode n;
    n.op = node->op;
    n.from = node;
    for (const Node* before : node->after) n.after.push_back(index.at(before));
    if (auto* sub = std::get_if<GraphOp>(&n.op.work)) {
      n.child = build(*sub->graph);
      sub->graph.reset();  // it may change and go
    }
    index[node] = nodes.size();
    nodes.push_back(std::move(n));
  }
  return nodes;
}

/// Submits the nodes after `head`; the result is done when all of them are.
TaskPtr submit_nodes(const std::vector<ExecNode>& nodes, const TaskPtr& head, int device) {
  Executor& executor = Executor::get();
  std::vector<TaskPtr> tasks;
  for (const ExecNode& n : nodes) {
    std::vector<TaskPtr> after{head};
    for (size_t i : n.after) after.push_back(tasks[i]);
    const auto* event = std::get_if<EventOp>(&n.op.work);
    if (event && !event->record && event->event->task) after.push_back(event->event->task);
    if (!n.child.empty()) {
      tasks.push_back(submit_nodes(n.child, executor.submit(nullptr, device, after), device));
      continue;
    }
    std::function<void()> work;
    if (n.enabled && !event) work = [op = n.op] { run(op); };
    const bool host = std::holds_alternative<HostOp>(n.op.work);
    tasks.push_back(executor.submit(std::move(work), n.op.device, after, host));
    if (event && event->record) event->event->task = tasks.back();
  }
  tasks.push_back(head);
  return executor.submit(nullptr, device, tasks);
}

cudaGraphExecUpdateResult compare(const ExecNode& mine, const Operation& theirs) {
  if (mine.op.work.index() != theirs.work.index()) return cudaGraphExecUpdateErrorNodeTypeChanged;
  if (mine.op.device != theirs.device) return cudaGraphExecUpdateErrorParametersChanged;
  if (std::holds_alternative<AllocOp>(theirs.work) || std::holds_alternative<FreeOp>(theirs.work))
    return cudaGraphExecUpdateErrorNotSupported;
  return cudaGraphExecUpdateSuccess;
}

bool update_nodes(std::vector<ExecNode>& nodes, const Graph& graph,
                  cudaGraphExecUpdateResultInfo& info) {
  auto refuse = [&](cudaGraphExecUpdateResult why, const Node* node) {
    info.result = why;
    info.errorNode = reinterpret_cast<cudaGraphNode_t>(const_cast<Node*>(node));
    return false;
  };
  const std::vector<Node*> order = in_order(graph);
  if (order.size() != nodes.size()) return refuse(cudaGraphExecUpdateErrorTopologyChanged, nullptr);
  std::unordered_map<const Node*, size_t> index;
  for (size_t i = 0; i < order.size(); i++) {
    index[order[i]] = i;
    std::vector<size_t> after;
    for (const Node* before : order[i]->after) after.push_back(index.at(before));
    if (after != nodes[i].after) return refuse(cudaGraphExecUpdateErrorTopologyChanged, order[i]);
    if (auto why = compare(nodes[i], order[i]->op); why != cudaGraphExecUpdateSuccess)
      return refuse(why, order[i]);
    const auto* sub = std::get_if<GraphOp>(&order[i]->op.work);
    if (sub && !update_nodes(nodes[i].child, *sub->graph, info)) return false;
  }
  for (size_t i = 0; i < order.size(); i++)
    if (nodes[i].child.empty()) nodes[i].op = order[i]->op;
  return true;
}

}  // namespace

Handles<Graph>& graphs() {
  static auto* const all = new Handles<Graph>;
  return *all;
}

Handles<GraphExec>& graph_execs() {
  static auto* const all = new Handles<GraphExec>;
  return *all;
}

Graph::Graph() { live_graphs().insert(this); }

Graph::~Graph() {
  live_graphs().erase(this);
  for (const auto& node : nodes) live_nodes().erase(node.get());
}

Graph& find_graph(const void* handle) {
  check(live_graphs().count(handle) > 0, cudaErrorInvalidValue);
  return *static_cast<Graph*>(const_cast<void*>(handle));
}

Node& find_node(const void* handle) {
  check(live_nodes().count(handle) > 0, cudaErrorInvalidValue);
  return *static_cast<Node*>(const_cast<void*>(handle));
}

Node* add_node(Graph& graph, Operation op, const std::vector<Node*>& after) {
  for (size_t i = 0; i < after.size(); i++) {
    check(live_nodes().count(after[i]) > 0 && after[i]->graph == &graph, cudaErrorInvalidValue);
    check(std::count(after.begin(), after.end(), after[i]) == 1, cudaErrorInvalidValue);
  }
  auto node = std::make_unique<Node>();
  node->graph = &graph;
  node->op = std::move(op);
  node->after = after;
  live_nodes().insert(node.get());
  graph.nodes.push_back(std::move(node));
  return graph.nodes.back().get();
}

void destroy_node(Node& node) {
  for (const auto& other : node.graph->nodes) std::erase(other->after, &node);
  live_nodes().erase(&node);
  std::erase_if(node.graph->nodes, [&](const auto& n) { return n.get() == &node; });
}

std::vector<Node*> dependents(const Node& node) {
  std::vector<Node*> all;
  for (const auto& other : node.graph->nodes)
    if (std::count(other->after.begin(), other->after.end(), &node)) all.push_back(other.get());
  return all;
}

std::vector<Node*> in_order(const Graph& graph) {
  std::unordered_map<const Node*, size_t> missing;
  std::unordered_map<const Node*, std::vector<Node*>> before;
  std::vector<Node*> order;
  for (const auto& node : graph.nodes) {
    missing[node.get()] = node->after.size();
    for (const Node* n : node->after) before[n].push_back(node.get());
    if (node->after.empty()) order.push_back(node.get());
  }
  for (size_t i = 0; i < order.size(); i++)
    for (Node* next : before[order[i]])
      if (--missing[next] == 0) order.push_back(next);
  if (order.size() != graph.nodes.size()) order.clear();
  return order;
}

std::unique_ptr<Graph> clone(const Graph& graph) {
  auto copy = std::make_unique<Graph>();
  copy->keeps = graph.keeps;
  std::unordered_map<const Node*, Node*> twin;
  for (const auto& node : graph.nodes) {
    Operation op = node->op;
    if (auto* sub = std::get_if<GraphOp>(&op.work)) sub->graph = clone(*sub->graph);
    twin[node.get()] = add_node(*copy, std::move(op), {});
    twin[node.get()]->cloned_from = node.get();
  }
  for (const auto& node : graph.nodes)
    for (const Node* before : node->after) twin[node.get()]->after.push_back(twin[before]);
  return copy;
}

std::unique_ptr<GraphExec> instantiate(const Graph& graph, unsigned long long flags) {
  auto exec = std::make_unique<GraphExec>();
  exec->nodes = build(graph);
  exec->flags = flags;
  exec->keeps = graph.keeps;
  return exec;
}

bool update(GraphExec& exec, const Graph& graph, cudaGraphExecUpdateResultInfo& info) {
  info = {};
  return update_nodes(exec.nodes, graph, info);
}

bool update(ExecNode& node, const Graph& graph, cudaGraphExecUpdateResultInfo& info) {
  return update_nodes(node.child, graph, info);
}

ExecNode& exec_node(GraphExec& exec, const Node& node) {
  for (ExecNode& n : exec.nodes)
    if (n.from == &node) return n;
  fail(cudaErrorInvalidValue);
}

namespace {

/// Events that nodes name may have been destroyed.
void check_events(const std::vector<ExecNode>& nodes) {
  for (const ExecNode& n : nodes) {
    const auto* op = std::get_if<EventOp>(&n.op.work);
    check(!op || events().has(op->event), cudaErrorInvalidResourceHandle);
    check_events(n.child);
  }
}

}  // namespace

void launch(GraphExec& exec, Stream& stream) {
  check_events(exec.nodes);
  const bool free_first = exec.flags & cudaGraphInstantiateFlagAutoFreeOnLaunch;
  begin_memory(exec.nodes, free_first);
  TaskPtr head = marker(stream);
  if (exec.last && exec.last != head && !exec.last->done)
    head = Executor::get().submit(nullptr, stream.device, {head, exec.last});
  TaskPtr end = submit_nodes(exec.nodes, head, stream.device);
  // The graph may be destroyed before this runs; its memory stays until it has.
  if (!exec.keeps.empty())
    end = Executor::get().submit([keep = exec.keeps] {}, stream.device, {end});
  exec.last = end;
  append(stream, std::move(end));
}

}  // namespace sim
