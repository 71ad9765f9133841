"""From the lab to real AWS and back: preflight, plan, one CloudFormation stack, measurements."""
