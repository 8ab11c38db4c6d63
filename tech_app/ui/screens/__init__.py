"""The screens: each draws what its view says, and passes touches on to the flow."""
