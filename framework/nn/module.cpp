#include "framework/nn/module.h"

namespace noisette {

Shape Slot::shape() const {
  if (begin == 0 && (parameter->shape().ndim() == 0 || end == parameter->shape().dim(0)))
    return parameter->shape();
  std::vector<int64_t> dims = parameter->shape().dims();
  dims[0] = end - begin;
  return Shape(std::move(dims));
}

void Module::add(std::string name, Module& child) {
  children_.push_back({std::move(name), &child, nullptr, {}});
}

void Module::add(std::string name, Parameter& parameter) {
  add(std::vector<std::string>{std::move(name)}, parameter);
}

void Module::add(std::vector<std::string> names, Parameter& parameter) {
  check(!names.empty() && parameter.shape().dim(0) % int64_t(names.size()) == 0,
        "[module] a parameter of shape {} does not divide among {} names", parameter.shape(),
        names.size());
  children_.push_back({"", nullptr, &parameter, std::move(names)});
}

void Module::collect(const std::string& prefix, std::vector<Slot>& out) const {
  for (const Child& child : children_) {
    if (child.module) {
      child.module->collect(child.name.empty() ? prefix : prefix + child.name + ".", out);
      continue;
    }
    const int64_t share = child.parameter->shape().dim(0) / int64_t(child.names.size());
    for (std::size_t i = 0; i < child.names.size(); ++i)
      out.push_back(
          {prefix + child.names[i], child.parameter, int64_t(i) * share, int64_t(i + 1) * share});
  }
}

std::vector<Slot> Module::slots() const {
  std::vector<Slot> out;
  collect("", out);
  return out;
}

int64_t Module::parameter_count() const {
  int64_t n = 0;
  for (const Slot& slot : slots()) n += slot.shape().numel();
  return n;
}

void Module::set_paths(const std::string& prefix) {
  path_ = prefix;
  for (Child& child : children_)
    if (child.module)
      child.module->set_paths(child.name.empty() ? prefix
                              : prefix.empty()   ? child.name
                                                 : prefix + "." + child.name);
}

void Module::each_module(const std::function<void(Module&)>& f) {
  f(*this);
  for (Child& child : children_)
    if (child.module) child.module->each_module(f);
}

}  // namespace noisette
