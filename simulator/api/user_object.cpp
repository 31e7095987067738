// User objects: data that is destroyed when neither the program nor a graph, what was made of it or
// a launch of that holds a reference.
#include <algorithm>
#include <climits>
#include <unordered_map>

#include "simulator/api/api.h"
#include "simulator/stream/graph.h"

using namespace sim;

namespace {

struct Data {
  cudaHostFn_t destroy;
  void* pointer;
};
struct UserObject {
  std::weak_ptr<const void> data;
  std::vector<std::shared_ptr<const void>> mine;  // the program's references
};

/// By what the program holds: the address of the data.
std::unordered_map<const void*, UserObject>& objects() {
  static auto* const all = new std::unordered_map<const void*, UserObject>;
  return *all;
}

UserObject& object_of(cudaUserObject_t handle) {
  const auto it = objects().find(handle);
  check(it != objects().end(), cudaErrorInvalidValue);
  return it->second;
}

void check_count(unsigned count) {
  check(count > 0 && count <= unsigned(INT_MAX), cudaErrorInvalidValue);
}

/// The program's function may not call the API.
void destroy(Data* data) {
  objects().erase(data);
  const TaskScope scope;
  data->destroy(data->pointer);
  delete data;
}

/// `count` references that leave their owner; they end with the result.
std::vector<std::shared_ptr<const void>> take(std::vector<std::shared_ptr<const void>>& owned,
                                              const void* object, unsigned count) {
  std::vector<std::shared_ptr<const void>> taken;
  const auto is_it = [&](const auto& p) { return p.get() == object; };
  check(std::count_if(owned.begin(), owned.end(), is_it) >= int64_t(count), cudaErrorInvalidValue);
  for (unsigned i = 0; i < count; i++) {
    const auto it = std::find_if(owned.begin(), owned.end(), is_it);
    taken.push_back(std::move(*it));
    owned.erase(it);
  }
  return taken;
}

}  // namespace

SIM_API cudaError_t cudaUserObjectCreate(cudaUserObject_t* out, void* pointer, cudaHostFn_t end,
                                         unsigned count, unsigned flags) {
  return api(__func__, [&](Lock&) {
    check(out && end && flags == cudaUserObjectNoDestructorSync, cudaErrorInvalidValue);
    check_count(count);
    const std::shared_ptr<Data> data(new Data{end, pointer}, destroy);
    objects()[data.get()] = {data, {count, data}};
    *out = reinterpret_cast<cudaUserObject_t>(data.get());
  });
}

SIM_API cudaError_t cudaUserObjectRetain(cudaUserObject_t object, unsigned count) {
  return api(__func__, [&](Lock&) {
    check_count(count);
    UserObject& o = object_of(object);
    o.mine.insert(o.mine.end(), count, o.data.lock());
  });
}

SIM_API cudaError_t cudaUserObjectRelease(cudaUserObject_t object, unsigned count) {
  return api(__func__, [&](Lock&) {
    check_count(count);
    const auto dropped = take(object_of(object).mine, object, count);
  });
}

SIM_API cudaError_t cudaGraphRetainUserObject(cudaGraph_t graph, cudaUserObject_t object,
                                              unsigned count, unsigned flags) {
  return api(__func__, [&](Lock&) {
    check_count(count);
    check(flags == 0 || flags == cudaGraphUserObjectMove, cudaErrorInvalidValue);
    Graph& g = find_graph(graph);
    UserObject& o = object_of(object);
    const auto added = flags == cudaGraphUserObjectMove
                           ? take(o.mine, object, count)
                           : std::vector<std::shared_ptr<const void>>(count, o.data.lock());
    g.keeps.insert(g.keeps.end(), added.begin(), added.end());
  });
}

SIM_API cudaError_t cudaGraphReleaseUserObject(cudaGraph_t graph, cudaUserObject_t object,
                                               unsigned count) {
  return api(__func__, [&](Lock&) {
    check_count(count);
    object_of(object);
    const auto dropped = take(find_graph(graph).keeps, object, count);
  });
}
