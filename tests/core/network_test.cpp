// The core by itself, without Python: a small network learns, views and versions behave, long chains are freed.
#include <array>
#include "autograd/node.h"
#include "base/parallel.h"
#include "dispatch/all_ops.h"
#include "test.h"

using namespace flambeau;
using namespace flambeau::test;

namespace {

Tensor filled(Ints sizes, double from, double step) {
  Tensor t = empty(sizes, DType::Float32);
  for (int64_t i = 0; i < t.numel(); i++) t.data_as<float>()[i] = float(std::sin(from + step * double(i)));
  return t;
}

Tensor parameter(Ints sizes, double from) {
  Tensor t = filled(sizes, from, 1.7);
  t->requires_grad = true;
  return t;
}

double item(const Tensor& t) { return t.data_as<float>()[0]; }

void backward(const Tensor& root) {
  Tensor one = empty(root.sizes(), root.dtype());
  one.data_as<float>()[0] = 1;
  run_backward(std::span(&root, 1), {one}, {}, {});
}

class NoGrad {
 public:
  NoGrad() { thread_state().grad_enabled = false; }

 private:
  WithThreadState saved_;
};

std::string message_of(auto&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST(network_learns) {
  Tensor x = filled(Dims{16, 4}, 0, 0.7), y = filled(Dims{16, 1}, 1, 2.8);
  std::array parameters{parameter(Dims{8, 4}, 0), parameter(Dims{8}, 1), parameter(Dims{1, 8}, 2),
                        parameter(Dims{1}, 3)};
  auto loss = [&] {
    Tensor hidden = ops::relu(ops::linear(x, parameters[0], parameters[1]));
    return ops::mean(ops::square(ops::sub(ops::linear(hidden, parameters[2], parameters[3]), y)));
  };
  double first = 0, last = 0;
  for (int step = 0; step < 20; step++) {
    Tensor l = loss();
    EXPECT(l->grad_fn != nullptr);
    (step == 0 ? first : last) = item(l);
    backward(l);
    NoGrad off;
    for (Tensor& p : parameters) {
      Tensor& grad = extra(p.get()).grad;
      EXPECT(grad && equal(grad.sizes(), p.sizes()));
      ops::sub_(p, grad, 0.05);  // p -= 0.05 * grad
      grad = Tensor();
    }
  }
  EXPECT(last < 0.5 * first);
}

TEST(gradient_of_a_product_is_the_other_factor) {
  Tensor a = parameter(Dims{3}, 0), b = parameter(Dims{3}, 1);
  backward(ops::sum(ops::mul(a, b)));
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(extra(a.get()).grad.data_as<float>()[i], b.data_as<float>()[i]);
    EXPECT_EQ(extra(b.get()).grad.data_as<float>()[i], a.data_as<float>()[i]);
  }
}

TEST(long_chain_runs_backward_and_is_freed) {
  Tensor leaf = parameter(Dims{1}, 1);
  {
    Tensor t = leaf;
    for (int i = 0; i < 200000; i++) t = ops::add(t, 1.0);
    backward(t);
  }
  EXPECT_EQ(extra(leaf.get()).grad.data_as<float>()[0], 1.0f);
  Tensor t = leaf;
  for (int i = 0; i < 200000; i++) t = ops::mul(t, 1.0);
  t = Tensor();  // freed with all that was saved, never run
  EXPECT_EQ(leaf->refs.load(), 1u);
}

TEST(changes_through_a_view_reach_the_base_and_its_gradient) {
  Tensor leaf = parameter(Dims{4}, 0), base = ops::mul(leaf, 1.0), view = ops::slice(base, 0, 0, 2, 1);
  ops::mul_(view, 3.0);
  EXPECT_EQ(base.data_as<float>()[1], 3 * leaf.data_as<float>()[1]);
  EXPECT_EQ(version(base.get()), version(view.get()));
  backward(ops::sum(base));
  const float expected[] = {3, 3, 1, 1};
  for (int i = 0; i < 4; i++) EXPECT_EQ(extra(leaf.get()).grad.data_as<float>()[i], expected[i]);
}

TEST(changes_of_saved_values_are_found) {
  Tensor leaf = parameter(Dims{4}, 0), a = ops::exp(leaf), loss = ops::sum(a);
  ops::add_(a, 1.0);
  std::string said = message_of([&] { backward(loss); });
  EXPECT(said.find("modified by an inplace operation") != std::string::npos);
}

TEST(changes_of_leaves_are_refused) {
  Tensor leaf = parameter(Dims{4}, 0);
  std::string said = message_of([&] { ops::add_(leaf, 1.0); });
  EXPECT(said.find("leaf Variable that requires grad") != std::string::npos);
}

TEST(second_backward_is_refused) {
  Tensor leaf = parameter(Dims{4}, 0), loss = ops::sum(ops::exp(leaf));
  backward(loss);
  std::string said = message_of([&] { backward(loss); });
  EXPECT(said.find("backward through the graph a second time") != std::string::npos);
}

TEST(errors_name_the_operation_and_its_operands) {
  std::string said = message_of([] { ops::add(filled(Dims{2}, 0, 1), filled(Dims{3}, 0, 1)); });
  EXPECT(said.find("must match the size of tensor b (3)") != std::string::npos);
  EXPECT(said.find("\nadd: ") != std::string::npos);
}

TEST(results_do_not_depend_on_threads) {
  Tensor x = filled(Dims{300, 1000}, 0, 0.37);
  double sums[2];
  for (int i = 0; i < 2; i++) {
    set_num_threads(i == 0 ? 1 : 4);
    sums[i] = item(ops::sum(ops::exp(x)));
  }
  EXPECT_EQ(sums[0], sums[1]);
}
