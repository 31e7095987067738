#include "framework/ops/shape.h"

#include "framework/ops/elementwise.h"
#include "framework/ops/matmul.h"
#include "tests/support/gradcheck.h"

namespace noisette {
namespace {

using testing_support::GradCase;
using testing_support::message_of;
using testing_support::values_of;

NOISETTE_OP_TESTS(
    ShapeOps,
    GradCase{"reshape",
             {{2, 6}},
             [](auto in) {
               return mul(reshape(in[0], {3, -1}), 2);
             }},
    GradCase{"reshape_one",
             {{1}},
             [](auto in) {
               return mul(reshape(in[0], {1, 1}), 2);
             }},
    GradCase{"reshape_empty",
             {{0, 6}},
             [](auto in) {
               return mul(reshape(in[0], {3, 0}), 2);
             }},
    GradCase{
        "concat", {{2, 3, 5}, {2, 3, 2}}, [](auto in) { return concat_channels(in[0], in[1]); }},
    GradCase{"concat_made_again",
             {{2, 3, 5}, {2, 3, 2}, {4, 7}},
             [](auto in) { return linear(concat_channels(in[0], in[1], true), in[2], {}); }},
    GradCase{"concat_with_itself", {{4, 1}}, [](auto in) { return concat_channels(in[0], in[0]); }},
    GradCase{"concat_with_nothing",
             {{4, 3}, {4, 0}},
             [](auto in) { return concat_channels(in[0], in[1]); }},
    GradCase{"slice", {{2, 2, 7}}, [](auto in) { return slice_channels(in[0], 2, 3); }},
    GradCase{"slice_one", {{1, 1}}, [](auto in) { return slice_channels(in[0], 0, 1); }},
    GradCase{"slice_empty", {{0, 7}}, [](auto in) { return slice_channels(in[0], 2, 3); }},
    GradCase{"split_one",
             {{1, 2}},
             [](auto in) {
               const auto p = split_channels(in[0], {1, 1});
               return mul(p[0], p[1]);
             }},
    GradCase{"split_empty",
             {{0, 7}},
             [](auto in) {
               const auto p = split_channels(in[0], {3, 1, 3});
               return mul(p[0], p[2]);
             }},
    GradCase{"split",
             {{3, 7}},
             [](auto in) {
               const auto p = split_channels(in[0], {3, 1, 3});
               return mul(p[0], p[2]);
             }},
    GradCase{"resize_2", {{2, 3, 2, 5}}, [](auto in) { return resize_nearest(in[0], 2); }},
    GradCase{"resize_3", {{1, 1, 2, 1}}, [](auto in) { return resize_nearest(in[0], 3); }},
    GradCase{"resize_1", {{1, 2, 2, 3}}, [](auto in) { return resize_nearest(in[0], 1); }},
    GradCase{"resize_empty", {{0, 2, 2, 3}}, [](auto in) { return resize_nearest(in[0], 2); }},
    GradCase{"resize_one", {{1, 1, 1, 1}}, [](auto in) { return resize_nearest(in[0], 2); }},
    GradCase{"pool_one", {{1, 1, 1, 1}}, [](auto in) { return average_pool(in[0], 1); }},
    GradCase{"pool_empty", {{0, 4, 6, 5}}, [](auto in) { return average_pool(in[0], 2); }},
    GradCase{"pool_2", {{2, 4, 6, 5}}, [](auto in) { return average_pool(in[0], 2); }},
    GradCase{"pool_3", {{1, 3, 6, 33}}, [](auto in) { return average_pool(in[0], 3); }});

TEST(Shape, ConcatPutsRowsSideBySide) {
  const Tensor a = from_vector<float>({1, 2, 3, 4}, {2, 2}), b = from_vector<float>({5, 6}, {2, 1});
  EXPECT_EQ(values_of(concat_channels(a, b)), (std::vector<double>{1, 2, 5, 3, 4, 6}));
}

TEST(Shape, ResizeCopiesAndPoolAverages) {
  const Tensor x = from_vector<float>({1, 2, 3, 4}, {1, 2, 2, 1});
  EXPECT_EQ(values_of(resize_nearest(x, 2)),
            (std::vector<double>{1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4}));
  EXPECT_EQ(values_of(average_pool(x, 2)), (std::vector<double>{2.5}));
  EXPECT_EQ(values_of(average_pool(resize_nearest(x, 2), 2)), values_of(x));
}

TEST(Shape, ReshapeSharesMemory) {
  const Tensor x = zeros({2, 6}, DType::f32);
  EXPECT_TRUE(reshape(x, {12}).same_data(x));
}

TEST(Shape, ErrorsNameBothSides) {
  const Tensor x = zeros({2, 3, 3, 4}, DType::f32);
  EXPECT_NE(message_of([&] {
              concat_channels(x, zeros({2, 3, 4, 4}, DType::f32));
            }).find("a [2, 3, 3, 4] and b [2, 3, 4, 4]"),
            std::string::npos);
  EXPECT_NE(message_of([&] { average_pool(x, 2); }).find("factor 2"), std::string::npos);
  EXPECT_NE(message_of([&] { split_channels(x, {1, 2}); }).find("[1, 2]"), std::string::npos);
  EXPECT_NE(message_of([&] { slice_channels(x, 3, 2); }).find("[3, 5)"), std::string::npos);
}

}  // namespace
}  // namespace noisette
